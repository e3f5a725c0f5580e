# Pose on mini people (drawn persons with COCO's 17 keypoints, see
# tools/dataset_converters/miniworld.py persons); boxes are those of the labels
_base_ = ['../genpercept_heatmap_coco.py']
codec = dict(
    type='UDPHeatmap', input_size=(144, 192), heatmap_size=(36, 48),
    sigma=1.5)
model = dict(
    # the prior's encoder blurs, and joints are small
    backbone=dict(arch='mini', pretrained='mini', freeze_vae=False),
    head=dict(in_channels=32, deconv_out_channels=(64, ), decoder=codec))
crop = [
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True)
]
load = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
train_pipeline = [
    *load,
    dict(type='RandomFlip', direction='horizontal'),
    dict(
        type='RandomBBoxTransform', scale_factor=(0.75, 1.25),
        rotate_factor=30),
    *crop,
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs')
]
val_pipeline = [*load, *crop, dict(type='PackPoseInputs')]
data_root = 'data/mini_people/'
labels = 'annotations/person_keypoints_{}.json'
train_dataloader = dict(
    batch_size=8, num_workers=1,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        data_root=data_root, ann_file=labels.format('train'),
        data_prefix=dict(img='train/'), pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        data_root=data_root, ann_file=labels.format('val'), bbox_file=None,
        data_prefix=dict(img='val/'), pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + labels.format('val'))
test_evaluator = val_evaluator

max_iters = 700
optim_wrapper = dict(
    optimizer=dict(lr=1e-3, weight_decay=0.01),
    paramwise_cfg=dict(layer_decay_rate=1.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=50),
    dict(type='PolyLR', eta_min=1e-6, power=0.9, begin=50, end=max_iters,
         by_epoch=False)
]
train_cfg = dict(_delete_=True, type='genpercept_mm.StepBasedTrainLoop',
                 max_iters=max_iters, val_interval=350)
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=175, max_keep_ckpts=2))
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=8)
