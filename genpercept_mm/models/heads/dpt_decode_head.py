"""DPT's fusion decoder on the U-Net's features."""
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from genpercept_mm.registry import MODELS
from genpercept_mm.utils.arguments import check_choice

from .base_dense_head import BaseDenseHead
from ..utils.full_precision import FullPrecisionConv2d


class Upsample(BaseModule):
    """Double the finest feature's size."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        """Turn (N, channels, h, w) into (N, channels, 2 h, 2 w)."""
        return self.conv(F.interpolate(x, scale_factor=2, mode='nearest'))


class PreActResidual(BaseModule):
    """Add two convolutions to the identity, each after a ReLU."""

    def __init__(self, channels):
        super().__init__()
        self.convolution1 = nn.Conv2d(
            channels, channels, 3, padding=1, bias=False)
        self.convolution2 = nn.Conv2d(
            channels, channels, 3, padding=1, bias=False)

    def forward(self, x):
        """Refine a map (N, channels, h, w)."""
        return x + self.convolution2(F.relu(self.convolution1(F.relu(x))))


class FusionLayer(BaseModule):
    """Add a finer feature (except in the ``first``, coarsest layer), refine,
    and double the size. All maps have ``channels`` channels."""

    def __init__(self, channels, first):
        super().__init__()
        self.projection = nn.Conv2d(channels, channels, 1)
        if not first:
            self.residual_layer1 = PreActResidual(channels)
        self.residual_layer2 = PreActResidual(channels)

    def forward(self, x, residual=None):
        """Fuse a coarse map (N, C, h, w) with a finer feature (N, C, h', w'),
        if there is one, into (N, C, 2 h, 2 w)."""
        if residual is not None:
            if residual.shape != x.shape:
                residual = F.interpolate(
                    residual, x.shape[2:], mode='bilinear',
                    align_corners=False)
            x = x + self.residual_layer1(residual)
        return self.projection(F.interpolate(
            self.residual_layer2(x), scale_factor=2, mode='bilinear',
            align_corners=True))


@MODELS.register_module()
class DPTDecodeHead(BaseDenseHead):
    """The official ``dpt_head_identity``.

    The four up-block outputs of `SDUNet` (``feature_type='post_upsample'``)
    are projected to one width and fused from coarse to fine, as in DPT
    (arXiv:2103.13413); the last layer is linear. Tensors have the official
    names. With one output channel on Stable Diffusion 2.1's features, there
    are 18,474,753 parameters.

    Args:
        codec (dict): The task, see `genpercept_mm.codecs`.
        in_channels (Sequence[int]): Channels of the features, finest first.
            Defaults to (320, 640, 1280, 1280).
        channels (int): Width of the fusion. Defaults to 256.
        head_channels (int): Width of the second to last convolution.
            Defaults to 32.
        out_range (str, optional): How predictions reach the codec's range:
            ``'clip'``, or, for affine-invariant quantities, ``'minmax'``,
            which stretches each image, or ``'batch_minmax'``, which stretches
            the whole batch as the official pipeline does. None is 'minmax'
            where it applies and 'clip' elsewhere.
        loss_decode (dict | list[dict], optional): Losses on the map.
        init_cfg (dict, optional): mmengine initialization. None takes weights
            N(0, 0.02) and biases 0, as transformers does.

    Raises:
        ValueError: If ``out_range`` is unknown or does not fit the codec, or
            ``in_channels`` does not have four entries.
    """

    def __init__(self, codec, in_channels=(320, 640, 1280, 1280),
                 channels=256, head_channels=32, out_range=None,
                 loss_decode=None, init_cfg=None):
        super().__init__(
            codec, loss_decode, init_cfg
            or dict(type='Normal', layer='Conv2d', std=0.02, bias=0))
        ranges = ['clip']
        if self.codec.affine_invariant:
            ranges = ['minmax', 'batch_minmax', 'clip']
        out_range = out_range or ranges[0]
        check_choice(
            'DPTDecodeHead', f'out_range with {type(self.codec).__name__}',
            out_range, ranges)
        if len(in_channels) != 4:
            raise ValueError('DPTDecodeHead: in_channels must be the channels '
                             f'of four features, got {in_channels}.')
        self.out_range = out_range
        self.feature_upsample_0 = Upsample(in_channels[0])
        self.neck = nn.Module()
        self.neck.convs = nn.ModuleList(
            nn.Conv2d(width, channels, 3, padding=1, bias=False)
            for width in in_channels)
        self.neck.fusion_stage = nn.Module()
        self.neck.fusion_stage.layers = nn.ModuleList(
            FusionLayer(channels, first=i == 0) for i in range(4))
        self.head = nn.Module()
        self.head.projection = nn.Conv2d(channels, channels, 3, padding=1)
        self.head.head = nn.Sequential(
            nn.Conv2d(channels, channels // 2, 3, padding=1),
            nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True),
            nn.Conv2d(channels // 2, head_channels, 3, padding=1),
            nn.ReLU(),
            FullPrecisionConv2d(head_channels, self.out_channels, 1))

    def forward(self, inputs):
        """See `BaseDenseHead.forward`.

        The inputs are four features, finest first; the output has 32 times
        the size of the coarsest.

        Raises:
            ValueError: If there are not four features.
        """
        if len(inputs) != 4:
            raise ValueError(
                'DPTDecodeHead: inputs must be the features of the four up '
                f'blocks, got {len(inputs)}; set out_indices=(0, 1, 2, 3) in '
                'the backbone.')
        features = [self.feature_upsample_0(inputs[0]), *inputs[1:]]
        features = [conv(feature)
                    for conv, feature in zip(self.neck.convs, features)]
        layers = self.neck.fusion_stage.layers
        fused = layers[0](features[3])
        for layer, feature in zip(layers[1:], features[2::-1]):
            fused = layer(fused, feature)
        return self.head.head(F.relu(self.head.projection(fused)))

    def bound(self, output):
        """See `BaseDenseHead.bound`; ``out_range`` says how."""
        if self.out_range == 'clip':
            return output.clamp(-1, 1)
        axes = (1, 2, 3) if self.out_range == 'minmax' else (0, 1, 2, 3)
        low = output.amin(axes, keepdim=True)
        high = output.amax(axes, keepdim=True)
        return (output - low) / (high - low).clamp(min=1e-6) * 2 - 1
