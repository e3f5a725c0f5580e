# Depth up to scale and shift, trained on Hypersim at 640 x 480 (90 % of the
# micro batches) and Virtual KITTI 2 in the KITTI benchmark crop, 1216 x 352.
# Labels are normalized at their own size; flips are the only augmentation.
codec = dict(type='AffineDepthCodec', space='depth')
hypersim_pipeline = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.LoadDepth'),
    dict(type='genpercept_mm.EncodeTarget', codec=codec),
    dict(type='genpercept_mm.DenseResize', scale=(640, 480)),
    dict(type='genpercept_mm.DenseRandomFlip', prob=0.5),
    dict(type='genpercept_mm.PackDenseInputs')
]
vkitti_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='genpercept_mm.LoadDepth'),
    dict(type='genpercept_mm.KITTIBenchmarkCrop'),
    dict(type='genpercept_mm.EncodeTarget', codec=codec),
    dict(type='genpercept_mm.DenseRandomFlip', prob=0.5),
    dict(type='genpercept_mm.PackDenseInputs')
]
val_pipeline = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.DenseResize', scale=(640, 480)),
    # after DenseResize: the label keeps the original size
    dict(type='genpercept_mm.LoadDepth'),
    dict(type='genpercept_mm.PackDenseInputs')
]
train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler'),
    # eight images, the official micro batch, come from one of the two sets,
    # however many of them run at once
    batch_sampler=dict(
        type='genpercept_mm.MixtureSampler',
        batch_size=8,
        probabilities=[0.9, 0.1]),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(
                type='genpercept_mm.HypersimDenseDataset',
                split='train',
                data_root='data/hypersim',
                pipeline=hypersim_pipeline),
            dict(
                type='genpercept_mm.VirtualKITTI2Dataset',
                data_root='data/virtual_kitti_2',
                pipeline=vkitti_pipeline)
        ]))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='genpercept_mm.HypersimDenseDataset',
        split='val',
        data_root='data/hypersim',
        # evenly spread over the scenes
        max_samples=100,
        pipeline=val_pipeline,
        test_mode=True))
val_evaluator = dict(type='genpercept_mm.AffineDepthMetric', max_depth=65)
