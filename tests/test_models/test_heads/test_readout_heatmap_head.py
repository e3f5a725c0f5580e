import pytest
import torch
import torch.nn.functional as F
from conftest import assert_near

pytest.importorskip('mmpose')
from genpercept_mm.models.heads.readout_heatmap_head import (  # noqa: E402
    ReadoutHeatmapHead,
)


def test_heatmaps_are_shuffled_cells():
    head = ReadoutHeatmapHead(
        6, 17, loss=dict(type='mmpose.KeypointMSELoss'))
    head.init_weights()
    feature = torch.randn(2, 6, 3, 4)
    with torch.no_grad():
        out = head([feature])
        expected = F.pixel_shuffle(F.conv2d(
            feature, head.final_layer[0].weight, head.final_layer[0].bias), 2)
    assert out.shape == (2, 17, 6, 8)
    assert_near(out, expected)
