# The same network at a size for a laptop. There are no pretrained weights of
# this size, so encoder and decoder of the VAE are trained too.
_base_ = ['genpercept_vae.py']
model = dict(
    backbone=dict(arch='mini', pretrained=None, freeze_vae=False),
    decode_head=dict(arch='mini', pretrained=None, decoder='scratch'))
