# Table 9, "train UperNet": the U-Net stays as Stable Diffusion left it
_base_ = ['genpercept_upernet_hypersim.py']
model = dict(backbone=dict(freeze_unet=True))
