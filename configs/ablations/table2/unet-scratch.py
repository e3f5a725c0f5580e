_base_ = ['../_base_/baseline.py']
model = dict(backbone=dict(scratch_unet=True))
