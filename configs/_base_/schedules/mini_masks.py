# mini_dense.py for masks and mattes, whose edges take longer
_base_ = ['mini_dense.py']
max_iters = 700
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
train_cfg = dict(max_iters=max_iters, val_interval=350)
default_hooks = dict(checkpoint=dict(interval=175))
