# What turns any config of these tables into one for rendered rooms of 128 x
# 96 and a network of 1 % of the parameters; reproduction/ablations.py
# merges it. From the pretrained small prior, as real users start from Stable
# Diffusion.
data_root = 'data/mini_ablations'
lr = 1e-3
max_iters = 300
batch_size = 4
num_workers = 1

warmup = max_iters // 25
test_set = dict(
    type='genpercept_mm.HypersimDenseDataset',
    data_root=data_root,
    pipeline=[
        dict(type='genpercept_mm.LoadHypersimImage'),
        dict(type='genpercept_mm.LoadDepth'),
        dict(type='genpercept_mm.PackDenseInputs')
    ],
    test_mode=True)
train_set = dict(
    _delete_=True,
    type='genpercept_mm.HypersimDenseDataset',
    split='train',
    data_root=data_root)
codec = dict(type='AffineDepthCodec', space='depth')

# every config
common = dict(
    model=dict(backbone=dict(arch='mini', pretrained='mini')),
    train_dataloader=dict(
        batch_size=batch_size,
        num_workers=num_workers,
        # one data set
        batch_sampler=dict(probabilities=None, batch_size=batch_size)),
    val_dataloader=dict(
        batch_size=batch_size,
        num_workers=num_workers,
        dataset=dict(_delete_=True, split='val', **test_set)),
    test_dataloader=dict(
        _delete_=True,
        batch_size=batch_size,
        num_workers=num_workers,
        sampler=dict(type='DefaultSampler', shuffle=False),
        # rooms of neither were trained on
        dataset=dict(
            type='ConcatDataset',
            datasets=[
                dict(split='val', **test_set),
                dict(split='test', **test_set)
            ])),
    test_pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='genpercept_mm.DenseResize', long_edge=128),
        dict(type='genpercept_mm.PackDenseInputs')
    ],
    test_evaluator=dict(
        _delete_=True, type='genpercept_mm.AffineDepthMetric', max_depth=65),
    # the paper's recipe, shorter
    optim_wrapper=dict(
        _delete_=True,
        type='OptimWrapper',
        optimizer=dict(type='Adam', lr=lr)),
    param_scheduler=[
        dict(
            type='LinearLR',
            start_factor=1 / warmup,
            by_epoch=False,
            begin=0,
            end=warmup),
        dict(
            type='ExponentialLR',
            gamma=0.01**(6 / (5 * max_iters - 6 * warmup)),
            by_epoch=False,
            begin=warmup,
            end=max_iters * 5 // 6)
    ],
    auto_scale_lr=dict(base_batch_size=batch_size),
    train_cfg=dict(max_iters=max_iters, val_interval=max_iters),
    default_hooks=dict(
        logger=dict(interval=50),
        checkpoint=dict(
            interval=max_iters // 4, max_keep_ckpts=1, save_best=None),
        visualization=dict(draw=False)))

# by the type of the head
heads = dict(
    VAEDecodeHead=dict(arch='mini', pretrained='mini'),
    DPTDecodeHead=dict(
        in_channels=[32, 64, 96, 96], channels=64, head_channels=16))

# by the type of the first training set
train_sets = dict(
    HypersimDenseDataset=dict(
        pipeline=[
            dict(type='genpercept_mm.LoadHypersimImage'),
            dict(type='genpercept_mm.LoadDepth'),
            dict(type='genpercept_mm.EncodeTarget', codec=codec),
            dict(type='genpercept_mm.DenseRandomFlip', prob=0.5),
            dict(type='genpercept_mm.PackDenseInputs')
        ],
        **train_set),
    # the same rooms as a sensor would measure them
    TaskonomyDataset=dict(
        pipeline=[
            dict(type='genpercept_mm.LoadHypersimImage'),
            dict(type='genpercept_mm.LoadDepth'),
            dict(type='genpercept_mm.SensorDepthNoise'),
            dict(type='genpercept_mm.EncodeTarget', codec=codec),
            dict(type='genpercept_mm.DenseRandomFlip', prob=0.5),
            dict(type='genpercept_mm.PackDenseInputs')
        ],
        **train_set))

# widths are about a tenth of Stable Diffusion's, and so are ranks
lora_ranks = {4: 1, 16: 2, 64: 6, 256: 26, 1024: 102}
