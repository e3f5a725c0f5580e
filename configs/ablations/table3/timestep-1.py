_base_ = ['../_base_/baseline.py']
model = dict(backbone=dict(timestep=1, train_timestep=1))
