"""The base class of heads that predict a dense map."""
from abc import ABCMeta, abstractmethod

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from genpercept_mm.registry import CODECS, MODELS


class BaseDenseHead(BaseModule, metaclass=ABCMeta):
    """A head whose output a codec decodes.

    Heads that can be trained on latents, such as `VAEDecodeHead`, have an
    attribute ``loss_latent``, and take the latents of the labels in `loss`.

    Note:
        - N: images in a batch; H, W: height and width of the input images
        - C: channels of the codec's target

    Args:
        codec (dict): The task, see `genpercept_mm.codecs`.
        loss_decode (dict | list[dict], optional): Losses between output and
            target, called with ``(pred, target, mask)``: those of this
            package, or others that take these arguments and have a
            ``loss_name``, as mmseg's do. Defaults to None.
        init_cfg (dict, optional): mmengine initialization. Defaults to None.

    Raises:
        ValueError: If a loss has no ``loss_name``.
    """

    # mmseg's init_model reads it where a checkpoint names no classes
    num_classes = None

    def __init__(self, codec, loss_decode=None, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.codec = CODECS.build(codec)
        self.out_channels = self.codec.channels
        if isinstance(loss_decode, dict):
            loss_decode = [loss_decode]
        self.loss_decode = nn.ModuleList(
            MODELS.build(loss) for loss in loss_decode or ())
        nameless = [type(loss).__name__ for loss in self.loss_decode
                    if not hasattr(loss, 'loss_name')]
        if nameless:
            raise ValueError(
                f'{type(self).__name__}: {nameless} have no loss_name; use '
                'the dense losses of this package or those of mmseg.')

    @abstractmethod
    def forward(self, inputs):
        """Compute the output.

        Args:
            inputs (Sequence[Tensor]): Features of the backbone.

        Returns:
            Tensor: (N, C, about H, about W), not clipped.
        """

    @abstractmethod
    def bound(self, output):
        """Bring an output of `forward` into the codec's range.

        Args:
            output (Tensor): (N, C, H', W').

        Returns:
            Tensor: (N, C, H', W') in [-1, 1].
        """

    def predict(self, inputs, batch_img_metas=None, test_cfg=None):
        """Call `forward`, under the name that mmseg's segmentors use."""
        return self.forward(inputs)

    def loss(self, inputs, data_samples, train_cfg=None):
        """Compute the losses of a batch.

        Args:
            inputs (Sequence[Tensor]): Features of the backbone.
            data_samples (list[SegDataSample]): With ``gt_target`` and
                ``gt_target_mask``.
            train_cfg (dict, optional): Not used. Defaults to None.

        Returns:
            dict[str, Tensor]: Losses by name.

        Raises:
            ValueError: If there is no loss, or no target.
        """
        if not self.loss_decode:
            raise ValueError(f'{type(self).__name__}: set loss_decode to '
                             'train this head.')
        target, mask = self.stack_targets(data_samples)
        return self.loss_by_output(self.forward(inputs), target, mask)

    def stack_targets(self, data_samples):
        """Stack the targets, (N, C, H, W) float, and the masks, (N, 1, H, W)
        bool, of data samples of one size. Raises a ValueError if a sample has
        no target, or the target of another codec."""
        for sample in data_samples:
            if 'gt_target' not in sample:
                raise ValueError(
                    f'{type(self).__name__}: the sample of '
                    f'{sample.get("img_path")} has no gt_target; add '
                    'genpercept_mm.EncodeTarget and genpercept_mm.'
                    'PackDenseInputs to the training pipeline.')
        target = torch.stack([s.gt_target.data for s in data_samples])
        mask = torch.stack([s.gt_target_mask.data for s in data_samples])
        if target.shape[1] != self.out_channels:
            raise ValueError(
                f'{type(self).__name__}: the targets have {target.shape[1]} '
                f'channels, but {type(self.codec).__name__} has '
                f'{self.out_channels}; give EncodeTarget and the head the '
                'same codec.')
        return target, mask.bool()

    def loss_by_output(self, output, target, mask):
        """Compare an output with its target and return a dict of losses.

        The output, (N, C, H', W'), is resized to the size of the target,
        (N, C, H, W); the mask is (N, 1, H, W) bool. Losses of the same name
        are added.
        """
        if output.shape[2:] != target.shape[2:]:
            output = F.interpolate(
                output, target.shape[2:], mode='bilinear', align_corners=False)
        losses = {}
        for module in self.loss_decode:
            value = module(output, target, mask)
            losses[module.loss_name] = value + losses.get(module.loss_name, 0)
        return losses
