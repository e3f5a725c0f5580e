# Disparity on mini-Hypersim with the DPT head
_base_ = ['genpercept_vae_mini-hypersim-disparity.py']
model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3)),
    decode_head=dict(
        _delete_=True,
        type='genpercept_mm.DPTDecodeHead',
        codec={{_base_.codec}},
        in_channels=[32, 64, 96, 96],
        channels=64,
        head_channels=16,
        loss_decode={{_base_.model.decode_head.loss_decode}}))
