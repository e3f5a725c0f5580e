# Surface normals on mini-Hypersim
_base_ = ['_base_/hypersim.py']
codec = dict(type='NormalCodec')
model = dict(
    # the small VAE blurs pictures, and has never seen such maps
    backbone=dict(freeze_vae=False),
    decode_head=dict(
        codec=codec,
        decoder='finetune',
        loss_decode=dict(
            type='genpercept_mm.AngularLoss',
            loss_weight=1.0,
            reduction='image')))
load = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.LoadNormal')
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
train_dataloader = dict(
    dataset=dict(labels='normal', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(labels='normal', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='genpercept_mm.SurfaceNormalMetric')
test_evaluator = val_evaluator
visualizer = dict(codec=codec)
default_hooks = dict(checkpoint=dict(save_best='mean', rule='less'))
