# Official recipe (all tasks): Adam, 3e-5, 30k optimizer steps of 32 images,
# 100 steps of warm-up, then exponential decay to 1 % at step 25,000.
# mmengine counts micro batches, so every length is multiplied by the number
# that is accumulated: 8 micro batches of 4 on one GPU. With n GPUs it is
# 8 / n; take genpercept_30k_accu4.py or genpercept_30k_accu1.py instead, or
# write such a file, as the rates follow from it too.
accumulative_counts = 8
optim_wrapper = dict(
    type='OptimWrapper',  # --amp gives the fp16 of the official recipe
    optimizer=dict(type='Adam', lr=3e-5),
    accumulative_counts=accumulative_counts)
param_scheduler = [
    # step n has (n + 1) % of the rate; the official code's first step has 0
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
    type='IterBasedTrainLoop',
    max_iters=30000 * accumulative_counts,
    val_interval=3000 * accumulative_counts)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(
        type='LoggerHook',
        interval=50 * accumulative_counts,
        log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='genpercept_mm.SafeCheckpointHook',
        by_epoch=False,
        interval=3000 * accumulative_counts,
        max_keep_ckpts=2,
        save_best='mIoU'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # not in custom_hooks, which users set
    resume_data=dict(type='genpercept_mm.ResumeDataHook'),
    resume_config=dict(type='genpercept_mm.ResumeConfigHook'),
    finite_guard=dict(type='genpercept_mm.FiniteGuardHook'),
    visualization=dict(
        type='genpercept_mm.DenseVisualizationHook', draw=True, interval=50))
auto_scale_lr = dict(enable=False, base_batch_size=32)
