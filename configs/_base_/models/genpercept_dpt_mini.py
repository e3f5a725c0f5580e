# The same network at a size for a laptop. There are no pretrained weights of
# this size, so the VAE encoder is trained too.
_base_ = ['genpercept_dpt.py']
model = dict(
    backbone=dict(arch='mini', pretrained=None, freeze_vae=False),
    decode_head=dict(
        in_channels=[32, 64, 96, 128], channels=64, head_channels=16))
