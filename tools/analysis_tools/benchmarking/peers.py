"""Whole predictions with diffusers alone, to compare ours with."""
import torch


class DiffusersOneStep(torch.nn.Module):
    """The one-step prediction with diffusers' own classes: encode, one step,
    decode, average of the channels.

    Args:
        vae (AutoencoderKL | AutoencoderTiny): Both sides.
        unet (UNet2DConditionModel): Takes one latent.
        prompt_embeds (Tensor): (1, L, D).
        timestep (int): Defaults to 1.
    """

    def __init__(self, vae, unet, prompt_embeds, timestep=1):
        super().__init__()
        self.vae, self.unet = vae, unet
        # on the device: a number would be copied there in each call
        self.register_buffer('timestep', torch.tensor(
            timestep, device=prompt_embeds.device))
        self.register_buffer('prompt_embeds', prompt_embeds)
        self.is_tiny = type(vae).__name__ == 'AutoencoderTiny'

    def encode(self, x):
        """Encode images (N, 3, H, W) in [-1, 1] into scaled latents."""
        x = x.to(self.prompt_embeds.dtype)
        if self.is_tiny:
            return self.vae.encode(x).latents
        return (self.vae.encode(x).latent_dist.mode()
                * self.vae.config.scaling_factor)

    def run_unet(self, latent):
        """Predict a latent from an image's, (N, 4, h, w) both."""
        prompt = self.prompt_embeds.expand(len(latent), -1, -1)
        return -self.unet(
            latent, self.timestep, encoder_hidden_states=prompt).sample

    def decode(self, latent):
        """Decode a latent (N, 4, h, w) into a map (N, 1, 8 h, 8 w)."""
        scale = self.vae.config.scaling_factor
        return self.vae.decode(latent / scale).sample.mean(1, keepdim=True)

    def forward(self, x):
        """Predict maps, (N, 1, H, W), of images (N, 3, H, W) in [-1, 1]."""
        return self.decode(self.run_unet(self.encode(x)))


def marigold_pipeline(vae, unet, prompt_embeds):
    """Build diffusers' Marigold pipeline on parts with random weights.

    Args:
        vae (AutoencoderKL): Both sides.
        unet (UNet2DConditionModel): Takes two latents.
        prompt_embeds (Tensor): (1, L, D), instead of text encoder and
            tokenizer.

    Returns:
        callable: Takes images (N, 3, H, W) in [-1, 1] and a number of steps,
        and gives maps (N, 1, H, W).
    """
    from diffusers import DDIMScheduler, MarigoldDepthPipeline
    pipeline = MarigoldDepthPipeline(
        unet, vae, DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear',
            prediction_type='v_prediction', timestep_spacing='trailing',
            clip_sample=False, set_alpha_to_one=False,
            rescale_betas_zero_snr=True),
        text_encoder=None, tokenizer=None, prediction_type='depth',
        default_denoising_steps=1, default_processing_resolution=0)
    pipeline.empty_text_embedding = prompt_embeds
    pipeline.set_progress_bar_config(disable=True)

    def predict(images, steps=1):
        return pipeline(
            (images + 1) / 2, num_inference_steps=steps,
            processing_resolution=0, match_input_resolution=False,
            batch_size=len(images), output_type='pt').prediction

    return predict
