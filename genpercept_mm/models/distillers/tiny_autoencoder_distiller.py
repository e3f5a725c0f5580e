"""Training a small autoencoder to do what Stable Diffusion's does."""
import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import nn

from genpercept_mm.registry import MODELS

from ..utils.diffusers_folder import local_folder
from ..utils.pretrained_parts import load_parts, require_weights
from ..utils.sd_archs import resolve_arch
from ..utils.tiny_autoencoder import build_tiny, encode_tiny


@MODELS.register_module()
class TinyAutoencoderDistiller(BaseModel):
    """Train the small stem and the small decoder of `SDUNet` and
    `VAEDecodeHead` on pictures without labels.

    The encoder learns the scaled latents of Stable Diffusion's VAE (their
    means), the decoder to get the pictures back from those. Checkpoints hold
    the small networks alone; ``stem_weights`` of `SDUNet` and ``pretrained``
    of `VAEDecodeHead` take them as they are.

    Args:
        arch (str): The small architecture, ``'taesd'`` or ``'taesd_mini'``.
            Defaults to 'taesd'.
        teacher_arch (str | dict): Architecture of the VAE, see `SDUNet`.
            Defaults to 'sd21'.
        pretrained (str, optional): Folder, hub id or ``'mini'`` that has the
            VAE's weights, see `SDUNet`.
        data_preprocessor (dict, optional): Gives pictures in [-1, 1], such as
            `OneStepDataPreprocessor`.

    Raises:
        ValueError: If an architecture is unknown.
    """

    def __init__(self, arch='taesd', teacher_arch='sd21', pretrained=None,
                 data_preprocessor=None):
        super().__init__(data_preprocessor)
        # diffusers takes seconds to import
        from diffusers import AutoencoderKL
        name = type(self).__name__
        self.pretrained = pretrained
        self.vae = AutoencoderKL(**resolve_arch(teacher_arch, name)[1])
        self.vae.requires_grad_(False)
        del self.vae.decoder, self.vae.post_quant_conv
        self.scaling_factor = self.vae.config.scaling_factor
        self._has_weights = pretrained is None
        self.small = nn.Module()
        self.small.encoder = build_tiny(arch, 'encoder', name).encoder
        self.small.decoder = build_tiny(arch, 'decoder', name).decoder
        self.register_state_dict_post_hook(_drop_teacher)
        self.register_load_state_dict_pre_hook(_keep_teacher)

    def train(self, mode=True):
        """Set the mode; the VAE stays in eval mode."""
        super().train(mode)
        self.vae.eval()
        return self

    def init_weights(self):
        """Load the VAE. Raises what `SDUNet.init_weights` raises."""
        super().init_weights()
        if self.pretrained is None:
            print_log('TinyAutoencoderDistiller: no pretrained VAE is set; '
                      'random latents are learnt.', logger='current')
            return
        load_parts(self, local_folder(
            self.pretrained, ('vae', ), type(self).__name__), ('vae', ))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        """Encode, or compute losses.

        Args:
            inputs (Tensor): (N, 3, H, W) RGB in [-1, 1].
            data_samples (list, optional): Not used.
            mode (str): ``'loss'``, or ``'tensor'`` for latents (N, 4, h, w)
                of the small encoder. Defaults to 'tensor'.

        Returns:
            Tensor | dict[str, Tensor]: Latents, or ``loss_latent``, the mean
            squared error of the latents, and ``loss_picture``, the mean
            absolute error of pictures and of their differences between
            neighbours.

        Raises:
            ValueError: If ``mode`` is another one.
            RuntimeError: If ``pretrained`` is set, but not loaded.
        """
        if mode not in ('loss', 'tensor'):
            raise ValueError(f'TinyAutoencoderDistiller: mode {mode!r} is not '
                             'defined; it trains only.')
        latents = encode_tiny(self.small, inputs)
        if mode == 'tensor':
            return latents
        require_weights(self)
        # targets in half precision would be off by more than what is learnt
        with torch.no_grad(), torch.autocast(
                inputs.device.type, enabled=False):
            moments = self.vae.quant_conv(self.vae.encoder(inputs))
            target = moments.chunk(2, dim=1)[0] * self.scaling_factor
        height, width = target.shape[2:]
        pictures = inputs[..., :8 * height, :8 * width]
        decoded = self.small.decoder(target)
        return dict(
            loss_latent=F.mse_loss(latents[..., :height, :width], target),
            loss_picture=F.l1_loss(decoded, pictures) + sum(
                F.l1_loss(decoded.diff(dim=dim), pictures.diff(dim=dim))
                for dim in (2, 3)))


def _drop_teacher(module, state_dict, prefix, metadata):
    for key in [key for key in state_dict
                if key.startswith(f'{prefix}vae.')]:
        del state_dict[key]


def _keep_teacher(module, state_dict, prefix, *args):
    state_dict.update({
        f'{prefix}vae.{key}': value
        for key, value in module.vae.state_dict().items()})
