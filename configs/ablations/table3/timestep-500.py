_base_ = ['../_base_/baseline.py']
model = dict(backbone=dict(timestep=500, train_timestep=500))
