# What the dense tasks have in common at mini size; a config adds a schedule,
# the codec, losses, data sets and metrics
_base_ = [
    '../../_base_/models/genpercept_vae_mini.py',
    '../../_base_/dense_runtime.py'
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True))
val_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(test_mode=True))
test_dataloader = val_dataloader
