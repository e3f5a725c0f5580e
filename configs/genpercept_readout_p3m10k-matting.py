# Mattes read off the U-Net's last features, without the VAE decoder
_base_ = ['genpercept_vae_p3m10k-matting.py']
model = dict(
    backbone=dict(out_indices=(5, )),
    decode_head=dict(
        _delete_=True,
        type='genpercept_mm.ReadoutHead',
        codec={{_base_.codec}},
        in_channels=320,
        loss_decode={{_base_.model.decode_head.loss_decode}}))
