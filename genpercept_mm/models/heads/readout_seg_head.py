"""A segmentation head without a decoder."""
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import nn

from genpercept_mm.registry import MODELS

from ..utils.full_precision import FullPrecisionConv2d


@MODELS.register_module()
class ReadoutSegHead(BaseDecodeHead):
    """`ReadoutHead` for the logits of classes, in mmseg's ``EncoderDecoder``.

    A 1 x 1 convolution predicts the logits of all ``stride**2`` pixels of a
    cell, and a pixel shuffle puts them in place.

    Args:
        stride (int): Height and width of a cell in pixels. Defaults to 8.
        **kwargs: Arguments of mmseg's ``BaseDecodeHead``. If ``channels``
            differs from ``in_channels`` (or from their sum, with
            ``input_transform='resize_concat'``), the readout follows a 3 x 3
            convolution of ``channels`` filters, with ``norm_cfg`` and
            ``act_cfg``.
    """

    def __init__(self, stride=8, **kwargs):
        super().__init__(**kwargs)
        self.conv = None
        if self.channels != self.in_channels:
            self.conv = ConvModule(
                self.in_channels, self.channels, 3, padding=1,
                norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        self.conv_seg = nn.Sequential(
            FullPrecisionConv2d(
                self.channels, stride**2 * self.out_channels, 1),
            nn.PixelShuffle(stride))

    def forward(self, inputs):
        """Return logits, (N, classes, stride h, stride w), of features
        (N, C, h, w)."""
        feature = self._transform_inputs(inputs)
        if self.conv is not None:
            feature = self.conv(feature)
        return self.cls_seg(feature)
