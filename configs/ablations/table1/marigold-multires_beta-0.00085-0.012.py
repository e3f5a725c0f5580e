_base_ = ['../_base_/marigold.py']
model = dict(protocol=dict(schedule=dict(beta_start=0.00085, beta_end=0.012)))
