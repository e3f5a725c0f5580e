# genpercept_30k.py with 4 accumulated micro batches: of 8 images on one GPU,
# or of 4 on two
_base_ = ['genpercept_30k.py']
accumulative_counts = 4
optim_wrapper = dict(accumulative_counts=accumulative_counts)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01 / accumulative_counts,
        by_epoch=False,
        begin=0,
        end=100 * accumulative_counts),
    dict(
        type='ExponentialLR',
        gamma=0.01**(1 / (24900 * accumulative_counts)),
        by_epoch=False,
        begin=100 * accumulative_counts,
        end=25000 * accumulative_counts)
]
train_cfg = dict(
    max_iters=30000 * accumulative_counts,
    val_interval=3000 * accumulative_counts)
default_hooks = dict(
    logger=dict(interval=50 * accumulative_counts),
    checkpoint=dict(interval=3000 * accumulative_counts))
