"""A dense head without a decoder."""
import torch
import torch.nn.functional as F
from torch import nn

from genpercept_mm.registry import MODELS

from .base_dense_head import BaseDenseHead
from ..utils.full_precision import FullPrecisionConv2d


@MODELS.register_module()
class ReadoutHead(BaseDenseHead):
    """Read the pixels of each cell off the U-Net's features.

    A 1 x 1 convolution predicts all ``stride**2`` pixels of a cell, and a
    pixel shuffle puts them in place: no VAE decoder, no upsampling. Meant for
    output 5 of `SDUNet`, which `SDUNet` has normalized; on Stable Diffusion's
    320 channels this takes 20,544 parameters for each channel of the codec.
    ReChannel (arXiv:2607.06553) found such a head faster and more accurate
    than decoders on a diffusion transformer.

    With several features, each passes through group norm and SiLU, is resized
    to the first one's size (bilinear), and all are concatenated.

    Args:
        codec (dict): The task, see `genpercept_mm.codecs`.
        in_channels (int | Sequence[int]): Channels of the last feature, or of
            all features, the one with the output's cells first. Defaults to
            320.
        channels (int): Width of a 3 x 3 convolution with SiLU before the
            readout; 0 for none. Defaults to 0.
        stride (int): Height and width of a cell in pixels. Defaults to 8.
        norm_groups (int): Groups of the norms, with several features.
            Defaults to 32.
        loss_decode (dict | list[dict], optional): Losses on the map.
        init_cfg (dict, optional): mmengine initialization. None takes weights
            from a truncated normal distribution of deviation 0.02, and biases
            of 0.
    """

    def __init__(self, codec, in_channels=320, channels=0, stride=8,
                 norm_groups=32, loss_decode=None, init_cfg=None):
        super().__init__(
            codec, loss_decode, init_cfg
            or dict(type='TruncNormal', layer='Conv2d', std=.02, bias=0))
        self.several = not isinstance(in_channels, int)
        widths = list(in_channels) if self.several else [in_channels]
        self.norms = nn.ModuleList(
            nn.Sequential(nn.GroupNorm(norm_groups, width), nn.SiLU())
            for width in widths) if self.several else None
        self.conv = None
        width = sum(widths)
        if channels:
            self.conv = nn.Sequential(
                nn.Conv2d(width, channels, 3, padding=1), nn.SiLU())
            width = channels
        self.readout = FullPrecisionConv2d(
            width, stride**2 * self.out_channels, 1)
        self.shuffle = nn.PixelShuffle(stride)

    def forward(self, inputs):
        """See `BaseDenseHead.forward`; the output has ``stride`` times the
        size of the feature that is read.

        Raises:
            ValueError: If the number of features is not that of
                ``in_channels``.
        """
        return self.shuffle(self.readout(self._gather(inputs)))

    def _gather(self, inputs):
        if not self.several:
            feature = inputs[-1]
        elif len(inputs) != len(self.norms):
            raise ValueError(
                f'ReadoutHead: in_channels names {len(self.norms)} features, '
                f'got {len(inputs)}; out_indices of the backbone must agree.')
        else:
            features = [norm(feature) for norm, feature
                        in zip(self.norms, inputs)]
            size = features[0].shape[2:]
            feature = torch.cat([
                feature if feature.shape[2:] == size else F.interpolate(
                    feature, size, mode='bilinear', align_corners=False)
                for feature in features], 1)
        return feature if self.conv is None else self.conv(feature)

    def bound(self, output):
        """See `BaseDenseHead.bound`; values outside are clipped."""
        return output.clamp(-1, 1)
