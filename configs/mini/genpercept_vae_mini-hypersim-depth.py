# Depth on mini-Hypersim (about 100 rendered frames of 128 x 96, see
# tools/dataset_converters/mini_hypersim.py)
_base_ = [
    '../_base_/models/genpercept_vae_mini.py',
    '../_base_/schedules/mini_dense.py', '../_base_/dense_runtime.py'
]
codec = dict(type='AffineDepthCodec', space='depth')
model = dict(
    decode_head=dict(
        codec=codec,
        loss_decode=[
            dict(type='genpercept_mm.MaskedMSELoss', loss_weight=1.0),
            dict(
                type='genpercept_mm.ScaleShiftInvariantLoss',
                loss_weight=0.5),
            dict(type='genpercept_mm.GradientMatchingLoss', loss_weight=2.0)
        ]))
train_pipeline = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.LoadDepth'),
    dict(type='genpercept_mm.EncodeTarget', codec=codec),
    dict(type='genpercept_mm.DenseRandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='genpercept_mm.PackDenseInputs')
]
test_pipeline = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.LoadDepth'),
    dict(type='genpercept_mm.PackDenseInputs')
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='genpercept_mm.HypersimDenseDataset',
        split='train',
        labels='depth',
        data_root='data/mini_hypersim',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='genpercept_mm.HypersimDenseDataset',
        split='val',
        labels='depth',
        data_root='data/mini_hypersim',
        pipeline=test_pipeline,
        test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='genpercept_mm.AffineDepthMetric', max_depth=65)
test_evaluator = val_evaluator
visualizer = dict(codec=codec)
default_hooks = dict(checkpoint=dict(save_best='abs_rel', rule='less'))
