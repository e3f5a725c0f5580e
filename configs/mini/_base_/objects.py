# Masks and mattes on about 100 rendered photographs of 128 x 96, see
# tools/dataset_converters/miniworld.py subjects
_base_ = ['dense.py', '../../_base_/schedules/mini_masks.py']
codec = dict(type='MatteCodec')
model = dict(
    # the small VAE blurs pictures, and has never seen such maps
    backbone=dict(freeze_vae=False),
    decode_head=dict(
        codec=codec,
        decoder='finetune',
        loss_decode=dict(
            type='genpercept_mm.MaskedMSELoss',
            loss_weight=1.0,
            reduction='image')))
load = [
    dict(type='LoadImageFromFile'),
    dict(type='genpercept_mm.LoadAlpha')
]
train_pipeline = [
    *load,
    dict(type='genpercept_mm.EncodeTarget', codec=codec),
    dict(type='genpercept_mm.DenseRandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='genpercept_mm.PackDenseInputs')
]
test_pipeline = [
    *load,
    dict(
        type='genpercept_mm.DenseResize',
        long_edge=128,
        only_photographs=True),
    dict(type='genpercept_mm.PackDenseInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
visualizer = dict(codec=codec)
