_base_ = ['../_base_/dmp.py']
model = dict(protocol=dict(schedule=dict(beta_start=0.136, beta_end=0.192)))
