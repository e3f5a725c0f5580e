# Soft mattes on about 100 rendered photographs of 128 x 96 (see
# tools/dataset_converters/mini_objects.py)
_base_ = [
    '../_base_/models/genpercept_vae_mini.py',
    '../_base_/schedules/mini_masks.py', '../_base_/dense_runtime.py'
]
codec = dict(type='MatteCodec')
model = dict(
    # the small VAE blurs pictures, and has seen no such maps
    backbone=dict(freeze_vae=False),
    decode_head=dict(
        codec=codec,
        decoder='finetune',
        loss_decode=dict(type='genpercept_mm.MaskedMSELoss',
                         loss_weight=1.0)))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='genpercept_mm.LoadAlpha'),
    dict(type='genpercept_mm.EncodeTarget', codec=codec),
    dict(type='genpercept_mm.DenseRandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='genpercept_mm.PackDenseInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='genpercept_mm.LoadAlpha'),
    dict(type='genpercept_mm.PackDenseInputs')
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='genpercept_mm.P3MDataset',
        subset='train',
        data_root='data/mini_objects/P3M-10k',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='genpercept_mm.P3MDataset',
        subset='P3M-500-NP',
        data_root='data/mini_objects/P3M-10k',
        pipeline=test_pipeline,
        test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='genpercept_mm.MattingMetric')
test_evaluator = val_evaluator
visualizer = dict(codec=codec)
default_hooks = dict(checkpoint=dict(save_best='mad', rule='less'))
