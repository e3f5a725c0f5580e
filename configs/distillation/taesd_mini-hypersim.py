# A small stem and a small decoder for the mini U-Net, from the pictures of
# mini-Hypersim alone
_base_ = ['../_base_/default_runtime.py', '../_base_/schedules/mini.py']
model = dict(
    type='genpercept_mm.TinyAutoencoderDistiller',
    arch='taesd_mini',
    teacher_arch='mini',
    pretrained='mini',
    data_preprocessor=dict(type='genpercept_mm.OneStepDataPreprocessor'))
max_iters = 3000
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=50),
    dict(
        type='PolyLR',
        eta_min=1e-6,
        power=0.9,
        begin=50,
        end=max_iters,
        by_epoch=False)
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='genpercept_mm.HypersimDataset',
        split='train',
        data_root='data/mini_hypersim',
        pipeline=[
            dict(type='genpercept_mm.LoadHypersimImage'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PhotoMetricDistortion'),
            dict(type='PackSegInputs')
        ]))
train_cfg = dict(max_iters=max_iters, val_interval=10**9)
val_cfg = None
test_cfg = None
default_hooks = dict(
    checkpoint=dict(interval=1000, save_best=None))
