# Classes read off the U-Net's last features: neither decoder nor UPerNet
_base_ = ['genpercept_upernet_mini-hypersim.py']
model = dict(
    backbone=dict(out_indices=(5, )),
    decode_head=dict(
        _delete_=True,
        type='genpercept_mm.ReadoutSegHead',
        in_channels=32,
        channels=32,
        num_classes=40,
        dropout_ratio=0.1,
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=None)
