# The baseline's training, run with ten steps: all of them see the same input
_base_ = ['../_base_/dmp.py']
model = dict(protocol=dict(schedule=dict(beta_start=1.0, beta_end=1.0)))
