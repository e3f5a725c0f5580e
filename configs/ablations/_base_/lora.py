# The baseline's U-Net through LoRA: alpha is the rank, which leaves set.
# Checkpoints keep only what was trained.
_base_ = ['baseline.py']
custom_hooks = [dict(type='genpercept_mm.TrainedWeightsHook')]
