# Checkpoints keep only the head
_base_ = ['../_base_/dpt.py']
model = dict(backbone=dict(freeze_unet=True))
custom_hooks = [dict(type='genpercept_mm.TrainedWeightsHook')]
