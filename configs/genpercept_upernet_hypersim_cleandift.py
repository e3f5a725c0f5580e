# CleanDIFT's U-Net (arXiv:2412.03439, MIT) as the start: Stable Diffusion 2.1
# fine-tuned to give the features of noised latents from clean ones. Its
# training ends at up_blocks.3, layer 0; what lies behind is the original's.
_base_ = ['genpercept_upernet_hypersim.py']
model = dict(
    backbone=dict(
        unet_weights='CompVis/cleandift/cleandift_sd21_unet.safetensors',
        # where CleanDIFT's own timestep, which is learned, starts
        timestep=261))
