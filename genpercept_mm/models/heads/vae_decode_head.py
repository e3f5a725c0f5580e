"""Stable Diffusion's VAE decoder as a head."""
import torch

from genpercept_mm.registry import MODELS
from genpercept_mm.utils.arguments import check_choice

from .base_dense_head import BaseDenseHead
from ..utils import folding
from ..utils.diffusers_folder import local_folder
from ..utils.full_precision import keep_full_precision
from ..utils.pretrained_parts import (
    check_checkpoint,
    load_parts,
    require_weights,
)
from ..utils.sd_archs import resolve_arch
from ..utils.tiny_autoencoder import TINY_ARCHS, build_tiny, load_tiny


@MODELS.register_module()
class VAEDecodeHead(BaseDenseHead):
    """Decode the predicted latent into a map (paper, section 3).

    Losses are on the decoded map (``loss_decode``), on the latent
    (``loss_latent``, against the latent of the target), or on both. Without
    ``loss_decode``, training does not decode at all.

    The latent arrives in scaled units, as output 4 of `SDUNet`. For codecs
    with one channel, the three decoded channels are averaged, as in the
    official code.

    Args:
        codec (dict): The task, see `genpercept_mm.codecs`.
        arch (str | dict): The architecture, see `SDUNet`; or a small decoder,
            ``'taesd'`` (1.2 million parameters) or ``'taesd_mini'``, see
            ``stem`` of `SDUNet`. Defaults to 'sd21'.
        pretrained (str, optional): Folder, hub id or ``'mini'`` that has the
            decoder's weights, or None, as in `SDUNet`; for a small decoder
            see `load_tiny`.
        decoder (str): ``'frozen'``, ``'finetune'``, or ``'scratch'``, which
            starts from random weights even if ``pretrained`` is set (the
            official flag of this name fine-tunes). Defaults to 'frozen'.
        clip_channels (bool): Limit the three decoded channels to [-1, 1]
            before their average is taken, as Lotus does. Defaults to False.
        in_index (int): Index of the latent among the backbone's outputs.
            Defaults to -1.
        loss_decode (dict | list[dict], optional): Losses on the map.
        loss_latent (dict, optional): Loss on the latent, or on the velocity
            in a `LatentDiffusionEstimator`. Cells that have an invalid pixel
            do not count. Defaults to None.
        with_cp (bool): Gradient checkpointing of the decoder, frozen or not.
            Defaults to False.
        init_cfg (dict, optional): mmengine initialization. Defaults to None.

    Raises:
        ValueError: If ``arch`` or ``decoder`` is unknown, or a decoder that
            learns has ``loss_latent`` only.
    """

    def __init__(self, codec, arch='sd21', pretrained=None, decoder='frozen',
                 clip_channels=False, in_index=-1, loss_decode=None,
                 loss_latent=None, with_cp=False, init_cfg=None):
        super().__init__(codec, loss_decode, init_cfg)
        check_choice('VAEDecodeHead', 'decoder', decoder,
                     ('frozen', 'finetune', 'scratch'))
        self.pretrained = None if decoder == 'scratch' else pretrained
        self.decoder = decoder
        self.clip_channels = clip_channels
        self.in_index = in_index
        self.loss_latent = loss_latent and MODELS.build(loss_latent)
        self.latent_name = (loss_latent or {}).get('loss_name', 'loss_latent')

        self.is_small = isinstance(arch, str) and arch in TINY_ARCHS
        if self.is_small:
            self.vae = build_tiny(arch, 'decoder', 'VAEDecodeHead')
            self.vae.post_quant_conv = None
        else:
            # diffusers takes seconds to import
            from diffusers import AutoencoderKL
            self.vae = AutoencoderKL(**resolve_arch(arch, 'VAEDecodeHead')[1])
            del self.vae.encoder, self.vae.quant_conv
        keep_full_precision(self._last_layer)
        self.scaling_factor = self.vae.config.scaling_factor
        if with_cp:
            self.vae.enable_gradient_checkpointing()
        if decoder != 'frozen' and loss_latent and not len(self.loss_decode):
            raise ValueError(
                f'VAEDecodeHead: decoder={decoder!r} learns from loss_decode '
                "only; set loss_decode, or decoder='frozen'.")
        # distributed runs must not wait for gradients that never come
        self.vae.requires_grad_(
            decoder != 'frozen' and len(self.loss_decode) > 0)
        self._has_weights = self.pretrained is None
        self.deployed = False
        self.skip_pretrained = False
        self.register_load_state_dict_pre_hook(_adapt_state_dict)

    def train(self, mode=True):
        """Set the mode; a frozen decoder stays in eval mode."""
        folding.refuse_training(self, mode)
        super().train(mode)
        if self.decoder == 'frozen':
            self.vae.eval()
        return self

    @property
    def _last_layer(self):
        decoder = self.vae.decoder
        return decoder.layers[-1] if self.is_small else decoder.conv_out

    def init_weights(self):
        """See `SDUNet.init_weights`."""
        if self.skip_pretrained:
            self.skip_pretrained = False
        elif self.pretrained is None:
            super().init_weights()
        elif self.is_small:
            load_tiny(self, self.pretrained, 'decoder')
            self._has_weights = True
        else:
            folder = local_folder(self.pretrained, ('vae', ), 'VAEDecodeHead')
            load_parts(self, folder, ('vae', ))

    def forward(self, inputs):
        """Call `decode` on the latent, the input at ``in_index``."""
        return self.decode(inputs[self.in_index])

    def decode(self, latent):
        """Decode a latent.

        Args:
            latent (Tensor): (N, 4, h, w), scaled.

        Returns:
            Tensor: (N, C, 8 h, 8 w), not clipped.

        Raises:
            RuntimeError: If ``pretrained`` is set, but not loaded.
        """
        require_weights(self)
        # the first layer's, as the last one is always in full precision
        latent = latent.to(next(self.vae.parameters()).dtype)
        if not (self.deployed or self.is_small):
            latent = latent / self.scaling_factor
        if self.vae.post_quant_conv is not None:
            latent = self.vae.post_quant_conv(latent)
        output = self.vae.decoder(latent)
        if self.clip_channels:
            output = output.clamp(-1, 1)
        if self.out_channels == 1 and output.shape[1] > 1:
            output = output.mean(dim=1, keepdim=True)
        return output

    @torch.no_grad()
    def switch_to_deploy(self):
        """Fold what is constant at test time, in place.

        Outputs are the same to rounding; the head cannot be trained
        afterwards. Folded are the scaling factor, and the average of the
        decoded channels (into the decoder's last layer), unless
        ``clip_channels``.

        Raises:
            RuntimeError: If ``pretrained`` is set, but not loaded.
        """
        if self.deployed:
            return
        require_weights(self)
        self.requires_grad_(False).eval()
        if not self.is_small:
            self.vae.post_quant_conv.weight.div_(self.scaling_factor)
        last = self._last_layer
        if self.out_channels == 1 and not self.clip_channels:
            folding.fold_after(last, last.weight.new_full(
                (1, last.out_channels), 1 / last.out_channels,
                dtype=torch.double))
        self.deployed = True

    def take_first_layer(self):
        """Remove the 1 x 1 convolution that reads the latent, for the layer
        before to do its work, and return its matrix (4, 4) and bias (4, ).
        Only after `switch_to_deploy`."""
        taken = folding.pointwise(self.vae.post_quant_conv)
        self.vae.post_quant_conv = None
        return taken

    def bound(self, output):
        """See `BaseDenseHead.bound`; outputs are clipped."""
        return output.clamp(-1, 1)

    def loss(self, inputs, data_samples, train_cfg=None, latent_target=None):
        """See `BaseDenseHead.loss`.

        ``loss_latent`` needs ``latent_target``, the result of
        `DenseEstimator.encode_targets`.

        Raises:
            ValueError: If there is no loss or no target, or ``latent_target``
                is missing.
        """
        if self.loss_latent is not None and latent_target is None:
            raise ValueError(
                'VAEDecodeHead: loss_latent needs the latents of the labels; '
                'use a genpercept_mm.DenseEstimator with a genpercept_mm.'
                'SDUNet, which encodes them.')
        latent = inputs[self.in_index]
        return self.loss_by_latent(
            latent, data_samples, latent, *(latent_target or ()))

    def loss_by_latent(self, clean, data_samples, pred=None, target=None,
                       mask=None):
        """Compute the losses of a batch, by name, from its predicted latents.

        ``clean``, (N, 4, h, w), is the scaled latent to decode for
        ``loss_decode``, and the data samples have ``gt_target`` and
        ``gt_target_mask``. ``loss_latent`` compares ``pred``, (N, 4, h, w),
        the latent or a velocity, with a ``target`` of this shape, where
        ``mask``, (N, 1, h, w) bool, is True. Raises a ValueError if there is
        no loss or no target.
        """
        losses = {}
        if len(self.loss_decode):
            losses = self.loss_by_output(
                self.decode(clean), *self.stack_targets(data_samples))
        if self.loss_latent is not None:
            name, value = self.latent_name, self.loss_latent(
                pred, target, mask)
            losses[name] = value + losses.get(name, 0)
        if not losses:
            raise ValueError('VAEDecodeHead: set loss_decode, loss_latent or '
                             'both to train this head.')
        return losses


def _adapt_state_dict(module, state_dict, prefix, *args):
    """Refuse a checkpoint with another decoder."""
    check_checkpoint(module, state_dict, prefix, 'vae')
