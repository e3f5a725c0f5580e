import pytest
import torch
import torch.nn.functional as F
from conftest import assert_near

from genpercept_mm.models import ReadoutSegHead


def build(**kwargs):
    head = ReadoutSegHead(num_classes=5, stride=4, **kwargs)
    head.init_weights()
    return head.eval()


def test_logits_are_shuffled_pixels():
    head = build(in_channels=6, channels=6)
    feature = torch.randn(2, 6, 3, 4)
    with torch.no_grad():
        out = head([torch.zeros(1), feature])
        expected = F.pixel_shuffle(F.conv2d(
            feature, head.conv_seg[0].weight, head.conv_seg[0].bias), 4)
    assert out.shape == (2, 5, 12, 16)
    assert_near(out, expected)
    assert head.conv_seg[0].weight.std().item() == pytest.approx(.01, rel=.2)


def test_several_features_and_a_convolution():
    head = build(in_channels=[6, 8], channels=7, in_index=[0, 1],
                 input_transform='resize_concat',
                 norm_cfg=dict(type='GN', num_groups=7))
    fine, coarse = torch.randn(1, 6, 4, 6), torch.randn(1, 8, 2, 3)
    with torch.no_grad():
        out = head([fine, coarse])
        joined = torch.cat([fine, F.interpolate(
            coarse, (4, 6), mode='bilinear')], 1)
        hidden = F.group_norm(F.conv2d(
            joined, head.conv.conv.weight, padding=1), 7).relu()
        expected = F.pixel_shuffle(F.conv2d(
            hidden, head.conv_seg[0].weight, head.conv_seg[0].bias), 4)
    assert out.shape == (1, 5, 16, 24)
    assert_near(out, expected)
