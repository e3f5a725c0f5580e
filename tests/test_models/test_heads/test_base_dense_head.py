import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from genpercept_mm.models.heads import BaseDenseHead


class Head(BaseDenseHead):
    """Gives its input back."""

    def forward(self, inputs):
        return inputs[0]

    def bound(self, output):
        return output.clamp(-1, 1)


def head(**more):
    return Head(
        dict(type='AffineDepthCodec'),
        dict(type='genpercept_mm.MaskedMSELoss'), **more)


def samples(target, mask):
    out = []
    for one, valid in zip(target, mask):
        sample = SegDataSample()
        sample.set_data(dict(gt_target=PixelData(data=one),
                             gt_target_mask=PixelData(data=valid)))
        out.append(sample)
    return out


def test_loss_is_that_of_the_valid_pixels():
    output, target = torch.rand(2, 1, 4, 6), torch.rand(2, 1, 4, 6)
    mask = torch.rand(2, 1, 4, 6) > .5
    losses = head().loss([output], samples(target, mask))
    assert set(losses) == {'loss_mse'}
    assert losses['loss_mse'].item() == pytest.approx(
        (output - target)[mask].square().mean().item(), rel=1e-5)


def test_losses_of_one_name_are_added_and_weighted():
    output, target = torch.rand(1, 1, 4, 6), torch.rand(1, 1, 4, 6)
    double = Head(dict(type='AffineDepthCodec'), [
        dict(type='genpercept_mm.MaskedMSELoss', loss_weight=2.),
        dict(type='genpercept_mm.MaskedMSELoss', loss_weight=.5),
        dict(type='genpercept_mm.MaskedMSELoss', loss_name='loss_other')])
    losses = double.loss(
        [output], samples(target, torch.ones(1, 1, 4, 6).bool()))
    mse = (output - target).square().mean().item()
    assert losses['loss_mse'].item() == pytest.approx(2.5 * mse, rel=1e-5)
    assert losses['loss_other'].item() == pytest.approx(mse, rel=1e-5)


def test_an_output_of_another_size_is_resized():
    target = torch.full((1, 1, 9, 11), .5)
    losses = head().loss([torch.full((1, 1, 8, 8), .25)], samples(
        target, torch.ones(1, 1, 9, 11).bool()))
    assert losses['loss_mse'].item() == pytest.approx(.0625)


def test_missing_targets_and_losses_are_named():
    with pytest.raises(ValueError, match='EncodeTarget'):
        head().loss([torch.rand(1, 1, 2, 2)], [SegDataSample()])
    with pytest.raises(ValueError, match='same codec'):
        head().loss([torch.rand(1, 1, 2, 2)], samples(
            torch.rand(1, 3, 2, 2), torch.ones(1, 1, 2, 2).bool()))
    with pytest.raises(ValueError, match='loss_decode'):
        Head(dict(type='AffineDepthCodec')).loss([torch.rand(1, 1, 2, 2)], [])
    with pytest.raises(ValueError, match='loss_name'):
        Head(dict(type='AffineDepthCodec'), dict(type='mmdet.MSELoss'))
