_base_ = ['../_base_/marigold.py']
model = dict(protocol=dict(schedule=dict(beta_start=1.0, beta_end=1.0)))
