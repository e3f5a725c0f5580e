# A few minutes on a CPU
max_iters = 500
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.01),
    clip_grad=dict(max_norm=1.0))
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
train_cfg = dict(
    type='genpercept_mm.StepBasedTrainLoop',
    max_iters=max_iters,
    val_interval=250)
# images in a step, on all devices together
auto_scale_lr = dict(enable=False, base_batch_size=8)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='genpercept_mm.SafeCheckpointHook',
        by_epoch=False,
        interval=125,
        max_keep_ckpts=2,
        save_best='mIoU'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # not in custom_hooks, which users set
    resume_data=dict(type='genpercept_mm.ResumeDataHook'),
    resume_config=dict(type='genpercept_mm.ResumeConfigHook'),
    finite_guard=dict(type='genpercept_mm.FiniteGuardHook'),
    cudnn_benchmark=dict(type='genpercept_mm.CudnnBenchmarkHook'),
    visualization=dict(
        type='genpercept_mm.DenseVisualizationHook', draw=True, interval=1))
