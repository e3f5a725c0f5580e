"""The variants of a prediction that the suites compare, on the same weights.

All take images (N, 3, H, W) in [-1, 1], fp32, and give maps (N, 1, about H,
about W). Weights are random: speed does not depend on them.
"""
import copy

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from genpercept_mm.models.utils.folding import switch_to_deploy
from genpercept_mm.models.utils.tiny_autoencoder import TINY_ARCHS

from .clock import DTYPES
from .peers import DiffusersOneStep, marigold_pipeline

#: configs by architecture and head
CONFIGS = {
    arch: {head: f'configs/{path}' for head, path in paths.items()}
    for arch, paths in dict(
        sd21=dict(
            vae='genpercept_vae_hypersim-vkitti2-depth.py',
            dpt='genpercept_dpt_hypersim-vkitti2-disparity.py',
            readout='genpercept_readout_hypersim-vkitti2-depth.py'),
        mini=dict(
            vae='mini/genpercept_vae_mini-hypersim-depth.py',
            dpt='mini/genpercept_dpt_mini-hypersim-disparity.py',
            readout='mini/genpercept_readout_mini-hypersim-depth.py')
    ).items()}
TINY = dict(sd21='taesd', mini='taesd_mini')


class Variants:
    """Builds models for an architecture; those of diffusers share weights
    with the model that they are compared with.

    Args:
        arch (str): Key of ``CONFIGS``.
        device (str): Device of the models.
    """

    def __init__(self, arch, device):
        self.arch, self.device = arch, torch.device(device)
        torch.manual_seed(0)
        self.base = self._build('vae')

    def ours(self, head, dtype='fp32', deploy=True, small_stem=False,
             small_decoder=False):
        """Build a model of ours.

        Args:
            head (str): ``'vae'``, ``'dpt'`` or ``'readout'``.
            dtype (str): Key of ``DTYPES``, of the whole model.
            deploy (bool): Whether to fold constants. Defaults to True.
            small_stem (bool): A stem of TAESD's architecture. Defaults to
                False.
            small_decoder (bool): A decoder of TAESD's architecture. Defaults
                to False.

        Returns:
            OneStep: In eval mode.
        """
        torch.manual_seed(1)
        if head == 'vae' and not (small_stem or small_decoder):
            model = copy.deepcopy(self.base)
        else:
            model = self._build(head, small_stem, small_decoder)
            state = self.base.state_dict()
            for key, value in model.state_dict().items():
                if key in state and state[key].shape == value.shape:
                    value.copy_(state[key])
        if deploy:
            switch_to_deploy(model)
        return OneStep(_cast(model, dtype))

    def diffusers(self, dtype='fp32', tiny=False):
        """Build the peer: AutoencoderKL or AutoencoderTiny on both sides."""
        from diffusers import AutoencoderTiny
        with torch.device(self.device):
            vae = (AutoencoderTiny(**TINY_ARCHS[TINY[self.arch]])
                   if tiny else self._whole_vae())
        peer = DiffusersOneStep(
            vae, self._whole_unet(), self.base.backbone.prompt_embeds)
        return _cast(peer, dtype).eval()

    def marigold(self, dtype='fp32'):
        """Build diffusers' pipeline, whose U-Net takes two latents."""
        unet = _cast(self._whole_unet(in_channels=8), dtype)
        prompt = self.base.backbone.prompt_embeds.to(
            DTYPES[dtype] or torch.float32)
        return marigold_pipeline(
            _cast(self._whole_vae(), dtype).eval(), unet.eval(), prompt)

    def _build(self, head, small_stem=False, small_decoder=False):
        cfg = Config.fromfile(CONFIGS[self.arch][head])
        cfg.model.backbone.pretrained = None
        if 'pretrained' in cfg.model.decode_head:
            cfg.model.decode_head.pretrained = None
        if small_stem:
            cfg.model.backbone.stem = TINY[self.arch]
        if small_decoder:
            cfg.model.decode_head.arch = TINY[self.arch]
        with DefaultScope.overwrite_default_scope(
                cfg.default_scope), torch.device(self.device):
            model = MODELS.build(cfg.model)
        return model.to(self.device).eval().requires_grad_(False)

    def _whole_unet(self, **changes):
        from diffusers import UNet2DConditionModel
        own = self.base.backbone.unet
        with torch.device(self.device):
            unet = UNet2DConditionModel.from_config(
                dict(own.config, **changes))
        state = own.state_dict()
        if changes:
            state.pop('conv_in.weight')
        unet.load_state_dict(state, strict=not changes)
        return unet.requires_grad_(False)

    def _whole_vae(self):
        from diffusers import AutoencoderKL
        with torch.device(self.device):
            vae = AutoencoderKL.from_config(self.base.backbone.vae.config)
        vae.load_state_dict({
            **self.base.backbone.vae.state_dict(),
            **self.base.decode_head.vae.state_dict()})
        return vae.requires_grad_(False)


class OneStep(torch.nn.Module):
    """A dense estimator, from the normalized image to the head's output."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def encode(self, x):
        """Encode images into scaled latents."""
        return self.model.backbone.encode(x)

    def run_unet(self, latent):
        """Compute the features that the head takes."""
        outs = self.model.backbone.run_unet(latent)
        return tuple(outs[index] for index in self.model.backbone.out_indices)

    def decode(self, features):
        """Compute the head's output."""
        return self.model.decode_head(features)

    def forward(self, x):
        """Predict maps of images (N, 3, H, W) in [-1, 1]."""
        return self.decode(self.run_unet(self.encode(x)))


def _cast(model, dtype):
    return model if DTYPES[dtype] is None else model.to(DTYPES[dtype])
