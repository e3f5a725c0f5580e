_base_ = ['../_base_/baseline.py']
model = dict(backbone=dict(timestep=900, train_timestep=900))
