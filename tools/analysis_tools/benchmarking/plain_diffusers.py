"""The peer that our backbone is timed against."""
import torch

LATENT = (4, )


class PlainDiffusers(torch.nn.Module):
    """The backbone's weights behind diffusers' own classes.

    Args:
        backbone (SDUNet): Gives the latent alone, or the features of all up
            blocks after their up-samplers. Its parameters are shared, not
            copied.
    """

    def __init__(self, backbone):
        super().__init__()
        from diffusers import AutoencoderKL, UNet2DConditionModel
        with torch.device('meta'):
            self.unet = UNet2DConditionModel.from_config(backbone.unet.config)
            self.vae = AutoencoderKL.from_config(backbone.vae.config)
        del self.vae.decoder, self.vae.post_quant_conv
        self.unet.load_state_dict(
            backbone.unet.state_dict(keep_vars=True), strict=False,
            assign=True)
        self.vae.load_state_dict(
            backbone.vae.state_dict(keep_vars=True), assign=True)
        device = backbone.prompt_embeds.device
        # ours lacks the output layers where no latent is asked for
        for name in ('conv_norm_out', 'conv_out'):
            layer = getattr(self.unet, name)
            if layer.weight.is_meta:
                layer.to_empty(device=device).requires_grad_(False)
        if backbone.with_cp:
            self.unet.enable_gradient_checkpointing()
            self.vae.enable_gradient_checkpointing()
        self.prompt_embeds = backbone.prompt_embeds
        self.timestep = backbone.timestep
        self.scaling_factor = backbone.scaling_factor
        self.gives_latent = backbone.out_indices == LATENT
        self.features = {}
        for index, block in enumerate(reversed(self.unet.up_blocks)):
            block.register_forward_hook(
                lambda module, inputs, output, index=index:
                self.features.update({index: output}))

    def encode(self, x):
        """Encode images.

        Args:
            x (Tensor): (N, 3, H, W) in [-1, 1].

        Returns:
            Tensor: Scaled latents, (N, 4, h, w).
        """
        return self.vae.encode(x).latent_dist.mode() * self.scaling_factor

    def run_unet(self, latent):
        """Run the whole U-Net; the hooks collect its features.

        Args:
            latent (Tensor): (N, 4, h, w).

        Returns:
            Tensor: The U-Net's output, (N, 4, h, w).
        """
        prompt = self.prompt_embeds.expand(len(latent), -1, -1)
        return self.unet(
            latent, self.timestep, encoder_hidden_states=prompt).sample

    def forward(self, x):
        """Compute what the backbone computes.

        Args:
            x (Tensor): (N, 3, H, W) in [-1, 1].

        Returns:
            tuple[Tensor]: The negated output, or the features of all up
            blocks.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and any(
                p.requires_grad for p in self.vae.parameters())):
            latent = self.encode(x)
        output = self.run_unet(latent)
        if self.gives_latent:
            return (-output, )
        return tuple(self.features[index] for index in range(4))
