_base_ = ['../_base_/marigold.py']
model = dict(protocol=dict(schedule=dict(beta_start=0.544, beta_end=0.768)))
