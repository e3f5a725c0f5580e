# Table 7, latent loss: nothing is decoded in training
_base_ = ['genpercept_vae_hypersim-normal.py']
model = dict(
    decode_head=dict(
        loss_decode=None,
        loss_latent=dict(type='genpercept_mm.MaskedMSELoss', loss_weight=1.0)))
