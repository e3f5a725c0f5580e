import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData

import genpercept_mm  # noqa: F401
from genpercept_mm.codecs import AffineDepthCodec
from genpercept_mm.models import BaseDenseHead, DenseEstimator
from genpercept_mm.models.utils.sd_archs import resolve_arch
from genpercept_mm.registry import CODECS, MODELS

from mmseg.models.backbones import *  # noqa: F401, F403, isort: skip
from mmseg.structures import SegDataSample  # isort: skip


@MODELS.register_module()
class PixelHead(BaseDenseHead):
    """Grey value of the image, so that predictions are known."""

    gain = None

    def forward(self, inputs):
        output = inputs[0].mean(1, keepdim=True).expand(
            -1, self.out_channels, -1, -1)
        if self.gain is not None:
            # as an affine-invariant network: another map for each window
            scale, shift = next(self.gain)
            output = output * scale + shift
        return output

    def bound(self, output):
        return output.clamp(-1, 1)


@MODELS.register_module()
class ColorHead(PixelHead):
    """The image itself."""

    def forward(self, inputs):
        return inputs[0]


@MODELS.register_module()
class Identity(torch.nn.Module):
    """A backbone that gives the image."""

    def forward(self, x):
        return (x, )


@CODECS.register_module()
class AbsoluteCodec(AffineDepthCodec):
    """A quantity with a scale of its own."""

    affine_invariant = False


def estimator(codec='AffineDepthCodec', head='PixelHead', **test_cfg):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return DenseEstimator(
            backbone=dict(type='genpercept_mm.Identity'),
            decode_head=dict(
                type=f'genpercept_mm.{head}',
                codec=codec if isinstance(codec, dict) else dict(type=codec)),
            data_preprocessor=dict(
                type='genpercept_mm.OneStepDataPreprocessor',
                size_divisor=1, bgr_to_rgb=False),
            test_cfg=test_cfg).eval()


def image(height, width, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(
        0, 256, (3, height, width), dtype=np.uint8))


def sample(**meta):
    return SegDataSample(metainfo=meta)


def grey(picture):
    """What `PixelHead` predicts: decoded depth is (y + 1) / 2."""
    return picture.float().mean(0, keepdim=True) / 255


def predict(model, *pictures, samples=None):
    samples = samples or [
        sample(ori_shape=p.shape[1:], img_shape=p.shape[1:])
        for p in pictures]
    with torch.no_grad():
        return model.test_step(dict(
            inputs=list(pictures), data_samples=samples))


@pytest.mark.parametrize('size', [(37, 53), (64, 64), (8, 8)])
def test_prediction_is_the_heads_decoded(size):
    picture = image(*size)
    result, = predict(estimator(), picture)
    torch.testing.assert_close(result.pred_depth_map.data, grey(picture),
                               atol=1e-6, rtol=0)


def test_labels_are_kept_beside_predictions():
    given = sample(ori_shape=(8, 9), img_shape=(8, 9))
    given.set_data(dict(gt_depth_map=PixelData(data=torch.ones(1, 8, 9))))
    result, = predict(estimator(), image(8, 9), samples=[given])
    assert (result.gt_depth_map.data == 1).all()
    assert result.pred_depth_map.shape == result.gt_depth_map.shape


def test_sizes_of_a_batch_may_differ():
    pictures = [image(20, 31), image(33, 17, seed=1)]
    for picture, result in zip(pictures, predict(estimator(), *pictures)):
        torch.testing.assert_close(
            result.pred_depth_map.data, grey(picture), atol=1e-6, rtol=0)


def test_a_batch_of_several_sizes_predicts_what_single_images_do():
    """Attention would see the padding."""
    model = mini_estimator()
    pictures = [image(32, 48), image(50, 40, seed=1)]
    for picture, result in zip(pictures, predict(model, *pictures)):
        alone, = predict(model, picture)
        torch.testing.assert_close(
            result.pred_depth_map.data, alone.pred_depth_map.data,
            atol=1e-5, rtol=0)


def mini_estimator(codec='AffineDepthCodec', **test_cfg):
    """A random U-Net and decoder."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        return DenseEstimator(
            backbone=dict(
                type='genpercept_mm.SDUNet', arch='mini', out_indices=(4, )),
            decode_head=dict(
                type='genpercept_mm.VAEDecodeHead', arch='mini',
                codec=dict(type=codec)),
            data_preprocessor=dict(
                type='genpercept_mm.OneStepDataPreprocessor',
                size_divisor=8), test_cfg=test_cfg).eval()


@pytest.mark.parametrize('size, test_cfg', [
    ((6, 200), {}), ((203, 7), {}), ((1, 1), {}), ((5, 8), dict(flip=True)),
    ((91, 3), dict(flip=True)),
    ((6, 90), dict(mode='slide', crop_size=(64, 64), stride=(40, 40)))])
def test_images_below_the_stride_of_the_vae(size, test_cfg):
    """Its edge repeated by NumPy gives the same, of which the image's part
    is taken."""
    model, picture = mini_estimator(**test_cfg), image(*size)
    result, = predict(model, picture)
    larger = [max(length, 8) for length in size]
    padded = torch.from_numpy(np.pad(picture.numpy(), [(0, 0), *(
        (0, more - length) for more, length in zip(larger, size))], 'edge'))
    expected, = predict(model, padded)
    found = result.pred_depth_map.data
    assert found.shape == (1, *size)
    torch.testing.assert_close(
        found, expected.pred_depth_map.data[:, :size[0], :size[1]],
        atol=1e-5, rtol=0)


def test_a_small_image_beside_a_large_one():
    model = mini_estimator()
    pictures = [image(6, 50), image(40, 24, seed=1)]
    for picture, result in zip(pictures, predict(model, *pictures)):
        alone, = predict(model, picture)
        torch.testing.assert_close(
            result.pred_depth_map.data, alone.pred_depth_map.data,
            atol=1e-5, rtol=0)


def test_original_size_is_reached_by_one_antialiased_resize():
    """Against Pillow in float."""
    from PIL import Image
    picture = image(20, 31)
    for size in ((50, 60), (10, 12)):
        result, = predict(estimator(), picture, samples=[
            sample(ori_shape=size, img_shape=(20, 31))])
        expected = Image.fromarray(grey(picture)[0].numpy()).resize(
            size[::-1], Image.Resampling.BILINEAR)
        np.testing.assert_allclose(
            result.pred_depth_map.data[0], np.array(expected), atol=1e-5)


def test_normals_have_unit_length_at_any_size():
    result, = predict(estimator('NormalCodec'), image(20, 31), samples=[
        sample(ori_shape=(41, 50), img_shape=(20, 31))])
    normals = result.pred_normal_map.data
    assert normals.shape == (3, 41, 50)
    torch.testing.assert_close(normals.norm(dim=0), torch.ones(41, 50))


@pytest.mark.parametrize('codec', ['AffineDepthCodec', 'AbsoluteCodec'])
@pytest.mark.parametrize('size', [(32, 32), (37, 53), (16, 90), (10, 10)])
def test_windows_of_a_pointwise_network_give_the_whole(codec, size):
    picture = image(*size)
    result, = predict(estimator(
        codec, mode='slide', crop_size=(32, 32), stride=(20, 24)), picture)
    torch.testing.assert_close(
        result.pred_depth_map.data, grey(picture), atol=1e-5, rtol=0)


def test_windows_with_ranges_of_their_own_are_aligned():
    """The result is the map up to one scale and shift; without alignment,
    the windows' borders show."""
    rng = np.random.default_rng(0)

    def residual(codec):
        model = estimator(
            codec, mode='slide', crop_size=(32, 32), stride=(20, 24))
        model.decode_head.gain = (
            (rng.uniform(.2, .5), rng.uniform(-.3, .3))
            for _ in range(100))
        picture = image(50, 70)
        found = predict(model, picture)[0].pred_depth_map.data.flatten()
        truth = grey(picture).flatten()
        slope, shift = np.polyfit(found, truth, 1)
        assert slope > 0
        return np.abs(slope * found.numpy() + shift - truth.numpy()).max()

    assert residual('AffineDepthCodec') < 1e-4
    assert residual('AbsoluteCodec') > .02


@pytest.mark.parametrize('mode', [
    dict(), dict(mode='slide', crop_size=(24, 24), stride=(16, 16))])
def test_flip_averages_with_the_mirrored_image(mode):
    """Normals: the mirrored prediction has its x turned round, so a network
    without directions gets x = 0."""
    picture = image(30, 40)
    plain, = predict(estimator('NormalCodec', **mode), picture)
    flipped, = predict(estimator('NormalCodec', flip=True, **mode), picture)
    raw = grey(picture)[0] * 2 - 1
    expected = torch.stack([torch.zeros_like(raw), raw, raw])
    expected = expected / expected.norm(dim=0, keepdim=True).clamp(1e-8)
    torch.testing.assert_close(
        flipped.pred_normal_map.data, expected, atol=1e-4, rtol=0)
    assert (plain.pred_normal_map.data[0] != 0).any()


def test_an_image_flipped_by_the_pipeline_is_turned_back():
    picture = image(30, 40)
    result, = predict(estimator(), picture.flip(-1), samples=[
        sample(ori_shape=(30, 40), img_shape=(30, 40), flip=True)])
    torch.testing.assert_close(
        result.pred_depth_map.data, grey(picture), atol=1e-6, rtol=0)


def test_other_flips_cannot_be_taken_back():
    with pytest.raises(ValueError, match='vertical'):
        predict(estimator(), image(8, 8), samples=[sample(
            ori_shape=(8, 8), img_shape=(8, 8), flip=True,
            flip_direction='vertical')])


def test_losses_and_tensor_mode():
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = DenseEstimator(
            backbone=dict(
                type='genpercept_mm.SDUNet', arch='mini', out_indices=(4, )),
            decode_head=dict(
                type='genpercept_mm.VAEDecodeHead', arch='mini',
                codec=dict(type='AffineDepthCodec'),
                loss_decode=dict(type='genpercept_mm.MaskedMSELoss'),
                loss_latent=dict(type='genpercept_mm.MaskedMSELoss')),
            data_preprocessor=dict(
                type='genpercept_mm.OneStepDataPreprocessor',
                size_divisor=1))
    given = sample(ori_shape=(32, 48), img_shape=(32, 48))
    given.set_data(dict(
        gt_target=PixelData(data=torch.rand(1, 32, 48)),
        gt_target_mask=PixelData(data=torch.ones(1, 32, 48).bool())))
    data = model.data_preprocessor(dict(
        inputs=[image(32, 48)], data_samples=[given]), training=True)
    losses = model(**data, mode='loss')
    assert set(losses) == {'decode.loss_mse', 'decode.loss_latent'}
    assert model(data['inputs'], mode='tensor').shape == (1, 1, 32, 48)


def test_bad_arguments():
    for test_cfg in (dict(mode='tiles'), dict(mode='slide'),
                     dict(flips=True), dict(mode='slide', crop_size=64),
                     dict(mode='slide', crop_size=(8, 8), stride=(9, 9))):
        with pytest.raises(ValueError, match='test_cfg'):
            estimator(**test_cfg)
    with pytest.raises(TypeError, match='dense head'):
        with DefaultScope.overwrite_default_scope('mmseg'):
            DenseEstimator(
                backbone=dict(type='genpercept_mm.Identity'),
                decode_head=dict(
                    type='FCNHead', in_channels=3, channels=4,
                    num_classes=2))


def test_the_codec_names_the_fields():
    result, = predict(estimator('ColormapCodec'), image(8, 8))
    assert result.pred_sem_seg.data.dtype == torch.int64
    assert result.pred_sem_seg.data.shape == (1, 8, 8)


def test_latent_loss_is_against_the_latent_of_the_target():
    """Encoded by diffusers' VAE, with one invalid pixel."""
    torch.manual_seed(0)
    mse = dict(type='genpercept_mm.MaskedMSELoss')
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = DenseEstimator(
            backbone=dict(
                type='genpercept_mm.SDUNet', arch='mini', out_indices=(4, )),
            decode_head=dict(
                type='genpercept_mm.VAEDecodeHead', arch='mini',
                codec=dict(type='AffineDepthCodec'), loss_latent=mse))
    vae = AutoencoderKL(**resolve_arch('mini')[1])
    vae.load_state_dict({
        **model.decode_head.vae.state_dict(),
        **model.backbone.vae.state_dict()})
    target = torch.rand(2, 1, 32, 48) * 2 - 1
    mask = torch.ones(2, 1, 32, 48).bool()
    mask[0, 0, 9, 17] = False
    given = []
    for n in range(2):
        given.append(sample(ori_shape=(32, 48), img_shape=(32, 48)))
        given[n].set_data(dict(gt_target=PixelData(data=target[n]),
                               gt_target_mask=PixelData(data=mask[n])))
    inputs = torch.rand(2, 3, 32, 48) * 2 - 1
    losses = model.loss(inputs, given)
    with torch.no_grad():
        label = vae.encode(
            target.repeat(1, 3, 1, 1)).latent_dist.mean * .18215
        squares = (model.extract_feat(inputs)[0] - label).square()
    valid = torch.ones(2, 4, 4, 6).bool()
    valid[0, :, 1, 2] = False
    assert set(losses) == {'decode.loss_latent'}
    assert losses['decode.loss_latent'].item() == pytest.approx(
        squares[valid].mean().item(), rel=1e-4)
    with pytest.raises(ValueError, match='loss_latent.*SDUNet.*Identity'):
        with DefaultScope.overwrite_default_scope('mmseg'):
            DenseEstimator(
                backbone=dict(type='genpercept_mm.Identity'),
                decode_head=dict(
                    type='genpercept_mm.VAEDecodeHead', arch='mini',
                    codec=dict(type='AffineDepthCodec'), loss_latent=mse))


def test_label_latents_have_full_precision_in_a_mixed_training():
    model, given = mini_estimator(), sample()
    given.set_data(dict(
        gt_target=PixelData(data=torch.rand(1, 16, 24) * 2 - 1),
        gt_target_mask=PixelData(data=torch.ones(1, 16, 24).bool())))
    expected = model.encode_targets([given])[0]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = model.encode_targets([given])[0]
        image_latent = model.backbone.encode(torch.zeros(1, 3, 16, 24))
    assert image_latent.dtype == torch.bfloat16
    assert torch.equal(found, expected)


@pytest.mark.parametrize('codec, low, high', [
    ('NormalCodec', (.5, .5, 1), (.5, .5, 1)), ('MatteCodec', .4, 1),
    ('NormalCodec', (.45, .5, .98), (.55, .5, 1))])
def test_windows_of_absolute_quantities_keep_their_values(codec, low, high):
    """A saturated map that does not reach the other end of its range, through
    a network without surroundings."""
    ramp = torch.linspace(0, 1, 90)[None, None].expand(1, 50, 90)
    low, high = (torch.as_tensor(value).expand(3)[:, None, None]
                 for value in (low, high))
    picture = (low + (high - low) * ramp).clamp(max=1) * 255
    head = 'ColorHead' if codec == 'NormalCodec' else 'PixelHead'
    whole, = predict(estimator(codec, head), picture)
    windows, = predict(estimator(
        codec, head, mode='slide', crop_size=(32, 32), stride=(24, 24)),
        picture)
    for name in whole.keys():
        if name.startswith('pred_'):
            torch.testing.assert_close(
                windows.get(name).data, whole.get(name).data, atol=1e-4,
                rtol=0)


@pytest.mark.parametrize('test_cfg', [
    dict(flip=True), dict(mode='slide', crop_size=(24, 24), stride=(8, 8)),
    dict(mode='slide', crop_size=(24, 24), stride=(16, 16), flip=True)])
def test_views_that_differ_do_not_make_a_third_class(test_cfg):
    """The mean of black and white would be grey. A network that takes the left
    of what it sees for the one and the right for the other."""
    codec = dict(type='ColormapCodec', palette=[
        (0, 0, 0), (255, 255, 255), (128, 128, 128)])
    network = estimator(codec, **test_cfg)

    def halves(inputs, metas=None):
        columns = torch.linspace(-.9, 1, inputs.shape[-1])
        return columns.sign().expand(len(inputs), 3, *inputs.shape[2:])

    network.encode_decode = halves
    result, = predict(network, image(40, 72))
    assert set(result.pred_sem_seg.data.unique().tolist()) == {0, 1}
