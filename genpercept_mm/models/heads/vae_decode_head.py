"""Stable Diffusion's VAE decoder as a head."""
import torch
import torch.nn.functional as F

from genpercept_mm.registry import MODELS

from .base_dense_head import BaseDenseHead
from ..utils.diffusers_folder import local_folder
from ..utils.pretrained_parts import (
    check_checkpoint,
    load_parts,
    require_weights,
)
from ..utils.sd_archs import resolve_arch

DECODERS = ('frozen', 'finetune', 'scratch')


@MODELS.register_module()
class VAEDecodeHead(BaseDenseHead):
    """Decode the predicted latent into a map (paper, section 3).

    Losses are on the decoded map (``loss_decode``), on the latent
    (``loss_latent``, against the latent of the target), or both. Without
    ``loss_decode``, training does not decode at all.

    The latent arrives in scaled units, as `SDUNet` gives it with its output
    index 4; sign and scale are handled there and here, nowhere else. Codecs
    with one channel take the mean of the three decoded ones, as officially.

    Args:
        codec (dict): The task, see `genpercept_mm.codecs`.
        arch (str | dict): As of `SDUNet`. Defaults to 'sd21'.
        pretrained (str, optional): Folder, hub id or ``'mini'`` as of
            `SDUNet`, for the decoder's weights. Defaults to None (random,
            unless ``init_cfg`` or a checkpoint brings some).
        decoder (str): ``'frozen'``, ``'finetune'``, or ``'scratch'``: from
            random weights whatever ``pretrained`` has (the official flag of
            that name fine-tunes). Defaults to 'frozen'.
        in_index (int): Which backbone output is the latent. Defaults to -1.
        loss_decode (dict | list[dict], optional): Losses on the map.
            Defaults to None.
        loss_latent (dict, optional): Loss on the latent, or on the velocity
            if `DenseEstimator` runs another protocol than one step; masked
            where any pixel of a cell is invalid. Defaults to None.
        with_cp (bool): Gradient checkpointing of the decoder, frozen or not.
            Defaults to False.
        init_cfg (dict, optional): mmengine initialization. Defaults to
            None.

    Raises:
        ValueError: If an argument is outside its set.
    """

    def __init__(self,
                 codec,
                 arch='sd21',
                 pretrained=None,
                 decoder='frozen',
                 in_index=-1,
                 loss_decode=None,
                 loss_latent=None,
                 with_cp=False,
                 init_cfg=None):
        super().__init__(codec, loss_decode, init_cfg)
        if decoder not in DECODERS:
            raise ValueError(f'VAEDecodeHead: decoder must be one of '
                             f'{DECODERS}, got {decoder!r}.')
        self.pretrained = None if decoder == 'scratch' else pretrained
        self.decoder = decoder
        self.in_index = in_index
        self.loss_latent = loss_latent and MODELS.build(loss_latent)

        # diffusers takes seconds to import, so only who builds a model pays
        from diffusers import AutoencoderKL
        self.vae = AutoencoderKL(**resolve_arch(arch, 'VAEDecodeHead')[1])
        del self.vae.encoder, self.vae.quant_conv
        self.scaling_factor = self.vae.config.scaling_factor
        self.stride = 2**(len(self.vae.config.block_out_channels) - 1)
        if with_cp:
            self.vae.enable_gradient_checkpointing()
        if decoder != 'frozen' and loss_latent and not len(self.loss_decode):
            raise ValueError(
                f'VAEDecodeHead: decoder={decoder!r} learns from loss_decode '
                "only; set that, or decoder='frozen'.")
        # distributed runs must not wait for gradients that never come
        self.vae.requires_grad_(
            decoder != 'frozen' and len(self.loss_decode) > 0)
        self._has_weights = self.pretrained is None
        self.register_load_state_dict_pre_hook(_adapt_state_dict)

    def train(self, mode=True):
        """Set the mode; a frozen decoder stays in eval mode.

        Args:
            mode (bool): True for training. Defaults to True.

        Returns:
            VAEDecodeHead: Itself.
        """
        super().train(mode)
        if self.decoder == 'frozen':
            self.vae.eval()
        return self

    def init_weights(self):
        """Load ``pretrained``, or follow ``init_cfg``.

        Raises:
            ValueError: If the weights are of another architecture.
            RuntimeError: If the files lack a tensor.
            OSError: If a file cannot be found or read.
        """
        if self.pretrained is None:
            super().init_weights()
        else:
            folder = local_folder(self.pretrained, ('vae', ), 'VAEDecodeHead')
            load_parts(self, folder, ('vae', ))

    def forward(self, inputs):
        """Decode.

        Args:
            inputs (Sequence[Tensor]): Outputs of the backbone; the one at
                ``in_index`` is the scaled latent, (N, 4, h, w).

        Returns:
            Tensor: (N, C, 8 h, 8 w), not clipped.

        Raises:
            RuntimeError: If ``pretrained`` is set and nothing was loaded.
        """
        return self.decode(inputs[self.in_index])

    def decode(self, latent):
        """Decode a latent.

        Args:
            latent (Tensor): (N, 4, h, w), scaled.

        Returns:
            Tensor: (N, C, 8 h, 8 w), not clipped.

        Raises:
            RuntimeError: If ``pretrained`` is set and nothing was loaded.
        """
        require_weights(self)
        output = self.vae.decoder(
            self.vae.post_quant_conv(latent / self.scaling_factor))
        if self.out_channels == 1:
            output = output.mean(dim=1, keepdim=True)
        return output

    def bound(self, output):
        """Clip.

        Args:
            output (Tensor): (N, C, H', W').

        Returns:
            Tensor: The same shape, in [-1, 1].
        """
        return output.clamp(-1, 1)

    def loss(self, inputs, data_samples, train_cfg=None, encoder=None):
        """Compute the losses of a batch, in pixels, in the latent or both.

        Args:
            inputs (Sequence[Tensor]): Outputs of the backbone.
            data_samples (list[SegDataSample]): With ``gt_target`` and
                ``gt_target_mask``.
            train_cfg (dict, optional): Not used. Defaults to None.
            encoder (callable, optional): Encodes (N, 3, H, W) maps into
                scaled latents; `DenseEstimator` gives the backbone's.
                Defaults to None.

        Returns:
            dict[str, Tensor]: Losses by name, ``loss_latent`` among them.

        Raises:
            ValueError: If no loss is set, or one on the latent without an
                encoder.
        """
        latent = inputs[self.in_index]
        label = mask = None
        if self.loss_latent is not None:
            label, mask = self.encode_targets(data_samples, encoder)
        return self.loss_by_latent(latent, data_samples, latent, label, mask)

    def encode_targets(self, data_samples, encoder=None):
        """Encode the targets of a batch.

        Args:
            data_samples (list[SegDataSample]): With ``gt_target`` and
                ``gt_target_mask``.
            encoder (callable, optional): Encodes (N, 3, H, W) maps into
                scaled latents. Defaults to None.

        Returns:
            tuple[Tensor, Tensor]: (N, 4, h, w) scaled, without gradients,
            and (N, 1, h, w) bool.

        Raises:
            ValueError: If there is no encoder or no target.
        """
        if encoder is None:
            raise ValueError(
                'VAEDecodeHead: loss_latent needs the VAE encoder of the '
                'backbone; use genpercept_mm.DenseEstimator with '
                'genpercept_mm.SDUNet.')
        target, mask = self.stack_targets(data_samples)
        with torch.no_grad():
            label = encoder(target.expand(-1, 3, -1, -1))
        return label, self.latent_mask(mask, label.shape[2:])

    def loss_by_latent(self, clean, data_samples, pred=None, target=None,
                       mask=None):
        """Compute the losses of a batch from what was predicted for it.

        Args:
            clean (Tensor): (N, 4, h, w) scaled, predicted latent to decode
                for ``loss_decode``.
            data_samples (list[SegDataSample]): With ``gt_target`` and
                ``gt_target_mask``.
            pred (Tensor, optional): (N, 4, h, w), prediction for
                ``loss_latent``: that latent, or a velocity. Defaults to
                None.
            target (Tensor, optional): (N, 4, h, w), what it should be.
                Defaults to None.
            mask (Tensor, optional): (N, 1, h, w) bool. Defaults to None.

        Returns:
            dict[str, Tensor]: Losses by name, ``loss_latent`` among them.

        Raises:
            ValueError: If no loss is set, or there is no target.
        """
        losses = {}
        if len(self.loss_decode):
            losses = self.loss_by_output(
                self.decode(clean), *self.stack_targets(data_samples))
        if self.loss_latent is not None:
            losses['loss_latent'] = self.loss_latent(pred, target, mask)
        if not losses:
            raise ValueError('VAEDecodeHead: set loss_decode, loss_latent or '
                             'both to train this head.')
        return losses

    def latent_mask(self, mask, size):
        """Tell which latent cells are valid: those with valid pixels only.

        Args:
            mask (Tensor): (N, 1, H, W) bool.
            size (tuple[int]): (h, w) of the latent.

        Returns:
            Tensor: (N, 1, h, w) bool.
        """
        invalid = F.max_pool2d((~mask).float(), self.stride)
        return invalid[..., :size[0], :size[1]] == 0


def _adapt_state_dict(module, state_dict, prefix, *args):
    """Note that a checkpoint brings the decoder, or refuse another one."""
    check_checkpoint(module, state_dict, prefix, 'vae')
