"""Stable Diffusion's VAE decoder as a head."""

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

    The latent arrives in scaled units, as `SDUNet` outputs it at index 4;
    its sign and scale are handled there and here, nowhere else. For codecs
    with one channel, the three decoded channels are averaged, as in the
    official code.

    Args:
        codec (dict): The task, see `genpercept_mm.codecs`.
        arch (str | dict): The architecture, see `SDUNet`. Defaults to
            'sd21'.
        pretrained (str, optional): Folder, hub id or ``'mini'`` that has the
            decoder's weights, see `SDUNet`. Defaults to None (random weights,
            unless ``init_cfg`` or a checkpoint provides others).
        decoder (str): ``'frozen'``, ``'finetune'``, or ``'scratch'``, which
            starts from random weights even where ``pretrained`` is set (the
            official flag of that name fine-tunes). Defaults to 'frozen'.
        in_index (int): Index of the latent among the backbone's outputs.
            Defaults to -1.
        loss_decode (dict | list[dict], optional): Losses on the map.
            Defaults to None.
        loss_latent (dict, optional): Loss on the latent, or on the velocity
            in a `LatentDiffusionEstimator`. Cells with any invalid pixel are
            masked. Defaults to None.
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

    def loss(self, inputs, data_samples, train_cfg=None, latent_target=None):
        """Compute the losses of a batch, in pixels, in the latent or both.

        Args:
            inputs (Sequence[Tensor]): Outputs of the backbone.
            data_samples (list[SegDataSample]): With ``gt_target`` and
                ``gt_target_mask``.
            train_cfg (dict, optional): Not used. Defaults to None.
            latent_target (tuple[Tensor, Tensor], optional): Scaled latents
                of the targets (N, 4, h, w) and their mask (N, 1, h, w) bool,
                for ``loss_latent``; from `DenseEstimator.encode_targets`.
                Defaults to None.

        Returns:
            dict[str, Tensor]: Losses by name, ``loss_latent`` among them.

        Raises:
            ValueError: If no loss is set, or one on the latent without
                ``latent_target``.
        """
        if self.loss_latent is not None and latent_target is None:
            raise ValueError(
                'VAEDecodeHead: loss_latent needs the latents of the labels; '
                'use genpercept_mm.DenseEstimator with genpercept_mm.SDUNet, '
                'which encode them.')
        latent = inputs[self.in_index]
        return self.loss_by_latent(
            latent, data_samples, latent, *(latent_target or ()))

    def loss_by_latent(self, clean, data_samples, pred=None, target=None,
                       mask=None):
        """Compute the losses of a batch from its predicted latents.

        Args:
            clean (Tensor): (N, 4, h, w), scaled; the predicted latent, which
                is decoded for ``loss_decode``.
            data_samples (list[SegDataSample]): With ``gt_target`` and
                ``gt_target_mask``.
            pred (Tensor, optional): (N, 4, h, w), the prediction that
                ``loss_latent`` compares: that latent, or a velocity. Defaults
                to None.
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


def _adapt_state_dict(module, state_dict, prefix, *args):
    """Note that a checkpoint brings the decoder, or refuse another one."""
    check_checkpoint(module, state_dict, prefix, 'vae')
