# The baseline with the DPT head in place of the VAE decoder, MSE on the map
_base_ = ['baseline.py']
model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3)),
    decode_head=dict(
        _delete_=True,
        type='genpercept_mm.DPTDecodeHead',
        codec={{_base_.codec}},
        in_channels=[320, 640, 1280, 1280],
        channels=256,
        head_channels=32,
        loss_decode=dict(type='genpercept_mm.MaskedMSELoss', loss_weight=1.0)))
