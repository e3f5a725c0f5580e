import pytest
import torch
import torch.nn.functional as F
from conftest import assert_near

from genpercept_mm.models import ReadoutHead

DEPTH = dict(type='AffineDepthCodec')
NORMAL = dict(type='NormalCodec')


@pytest.mark.parametrize('codec, channels', [(DEPTH, 1), (NORMAL, 3)])
def test_parameters_on_stable_diffusion(codec, channels):
    head = ReadoutHead(codec)
    assert sum(p.numel() for p in head.parameters()) == 20544 * channels
    head.init_weights()
    assert head.readout.weight.std().item() == pytest.approx(.02, rel=.2)
    assert (head.readout.bias == 0).all()


def test_each_cell_predicts_its_pixels():
    """In a loop over cells and pixels."""
    head = ReadoutHead(NORMAL, in_channels=6, stride=4)
    feature = torch.randn(2, 6, 3, 5)
    with torch.no_grad():
        out = head([torch.zeros(1), feature])
    assert out.shape == (2, 3, 12, 20)
    weight = head.readout.weight[..., 0, 0].detach()
    for channel in range(3):
        for row in range(12):
            for column in range(20):
                index = channel * 16 + row % 4 * 4 + column % 4
                expected = (feature[:, :, row // 4, column // 4]
                            @ weight[index] + head.readout.bias[index])
                assert_near(out[:, channel, row, column], expected.detach())


def test_several_features_and_a_convolution():
    head = ReadoutHead(DEPTH, in_channels=[8, 4], channels=5, stride=2,
                       norm_groups=4)
    fine, coarse = torch.randn(2, 8, 5, 7), torch.randn(2, 4, 3, 4)
    with torch.no_grad():
        out = head([fine, coarse])
        state = head.state_dict()
        parts = [F.silu(F.group_norm(
            feature, 4, state[f'norms.{i}.0.weight'],
            state[f'norms.{i}.0.bias']))
            for i, feature in enumerate((fine, coarse))]
        parts[1] = F.interpolate(parts[1], (5, 7), mode='bilinear')
        hidden = F.silu(F.conv2d(
            torch.cat(parts, 1), state['conv.0.weight'],
            state['conv.0.bias'], padding=1))
        expected = F.pixel_shuffle(F.conv2d(
            hidden, state['readout.weight'], state['readout.bias']), 2)
    assert_near(out, expected)
    with pytest.raises(ValueError, match='names 2 features, got 1'):
        head([fine])


def test_predictions_are_bounded_and_learnt():
    head = ReadoutHead(DEPTH, in_channels=6, loss_decode=dict(
        type='genpercept_mm.MaskedMSELoss'))
    assert head.bound(torch.tensor([-3., .5, 2.])).tolist() == [-1, .5, 1]
    feature = torch.randn(1, 6, 2, 2)
    # any map of as many pixels as there are weights can be learnt
    target = torch.randn(1, 1, 16, 16).tanh()
    solved = torch.linalg.lstsq(
        torch.cat([feature, torch.ones(1, 1, 2, 2)], 1)[0].flatten(1).T,
        F.pixel_unshuffle(target, 8)[0].flatten(1).T).solution
    with torch.no_grad():
        head.readout.weight.copy_(solved[:-1].T[..., None, None])
        head.readout.bias.copy_(solved[-1])
    loss = head.loss_by_output(
        head([feature]), target, torch.ones(1, 1, 16, 16).bool())
    assert loss['loss_mse'].item() < 1e-10
