# The frozen decoder passes the gradient on
_base_ = ['../_base_/baseline.py']
model = dict(
    decode_head=dict(
        loss_latent=None,
        loss_decode=dict(type='genpercept_mm.MaskedMSELoss', loss_weight=1.0)))
