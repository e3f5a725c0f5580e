# Official recipe (all tasks): Adam, 3e-5, 30k optimizer steps of 32 images,
# 100 steps of warm-up, then exponential decay to 1 % at step 25,000. All
# lengths are in steps. A step of auto_scale_lr.base_batch_size images is
# shared by the devices and cut into micro batches of
# train_dataloader.batch_size.
optim_wrapper = dict(
    type='OptimWrapper',  # --amp fp16 is the official recipe
    optimizer=dict(type='Adam', lr=3e-5))
param_scheduler = [
    # step n has (n + 1) % of the rate; the official code's first step has 0
    dict(
        type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type='ExponentialLR',
        gamma=0.01**(1 / 24900),
        by_epoch=False,
        begin=100,
        end=25000)
]
train_cfg = dict(
    type='genpercept_mm.StepBasedTrainLoop',
    max_iters=30000,
    val_interval=3000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='genpercept_mm.SafeCheckpointHook',
        by_epoch=False,
        interval=3000,
        max_keep_ckpts=2,
        save_best='mIoU'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # not in custom_hooks, which users set
    resume_data=dict(type='genpercept_mm.ResumeDataHook'),
    resume_config=dict(type='genpercept_mm.ResumeConfigHook'),
    finite_guard=dict(type='genpercept_mm.FiniteGuardHook'),
    cudnn_benchmark=dict(type='genpercept_mm.CudnnBenchmarkHook'),
    visualization=dict(
        type='genpercept_mm.DenseVisualizationHook', draw=True, interval=50))
auto_scale_lr = dict(enable=False, base_batch_size=32)
