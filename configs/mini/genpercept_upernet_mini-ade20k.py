# ADE20K with the mini network: to try the ADE20K path on a CPU
_base_ = ['../genpercept_upernet_ade20k.py']
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    backbone=dict(arch='mini', pretrained=None, freeze_vae=False),
    decode_head=dict(
        in_channels=[32, 64, 96, 128], channels=64, norm_cfg=norm_cfg),
    auxiliary_head=dict(in_channels=96, channels=32, norm_cfg=norm_cfg))
