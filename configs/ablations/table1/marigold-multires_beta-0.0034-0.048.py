_base_ = ['../_base_/marigold.py']
model = dict(protocol=dict(schedule=dict(beta_start=0.0034, beta_end=0.048)))
