# Depth on mini-Hypersim
_base_ = ['_base_/hypersim.py']
codec = dict(type='AffineDepthCodec', space='depth')
model = dict(
    decode_head=dict(
        codec=codec,
        loss_decode=[
            dict(
                type='genpercept_mm.MaskedMSELoss',
                loss_weight=1.0,
                reduction='image'),
            dict(
                type='genpercept_mm.ScaleShiftInvariantLoss',
                loss_weight=0.5,
                reduction='image'),
            dict(
                type='genpercept_mm.GradientMatchingLoss',
                loss_weight=2.0,
                reduction='image')
        ]))
load = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.LoadDepth')
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
    dataset=dict(labels='depth', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(labels='depth', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='genpercept_mm.AffineDepthMetric', max_depth=65)
test_evaluator = val_evaluator
visualizer = dict(codec=codec)
default_hooks = dict(checkpoint=dict(save_best='abs_rel', rule='less'))
