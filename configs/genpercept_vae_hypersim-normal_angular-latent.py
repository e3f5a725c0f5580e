# Angular loss and the loss on the latent, an extra of the official code
_base_ = ['genpercept_vae_hypersim-normal.py']
model = dict(
    decode_head=dict(
        loss_latent=dict(type='genpercept_mm.MaskedMSELoss', loss_weight=1.0)))
