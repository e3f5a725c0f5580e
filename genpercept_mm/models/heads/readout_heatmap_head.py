"""A head for keypoint heatmaps without a decoder.

mmpose is optional, so a config that uses this head imports it
(``custom_imports``).
"""
from mmpose.models.heads import HeatmapHead
from torch import nn

from genpercept_mm.registry import MODELS


@MODELS.register_module()
class ReadoutHeatmapHead(HeatmapHead):
    """`ReadoutHead` for heatmaps, as a head of mmpose.

    A 1 x 1 convolution predicts all ``scale_factor**2`` heatmap cells of a
    cell of the feature, and a pixel shuffle puts them in place.

    Args:
        in_channels (int | Sequence[int]): See mmpose's ``HeatmapHead``.
        out_channels (int): Number of keypoints.
        scale_factor (int): Cells of the heatmaps for each cell of the
            feature, along a side; 2 gives stride 4 from stride 8. Defaults to
            2.
        **kwargs: Other arguments of ``HeatmapHead``, except those of the
            deconvolutions, which this head does not have.
    """

    def __init__(self, in_channels, out_channels, scale_factor=2, **kwargs):
        super().__init__(in_channels, out_channels, deconv_out_channels=None,
                         final_layer=dict(kernel_size=1), **kwargs)
        self.final_layer = nn.Sequential(
            nn.Conv2d(self.final_layer.in_channels,
                      scale_factor**2 * out_channels, 1),
            nn.PixelShuffle(scale_factor))
