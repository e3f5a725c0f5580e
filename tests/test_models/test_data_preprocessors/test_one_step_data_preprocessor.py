import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from genpercept_mm.models import OneStepDataPreprocessor
from genpercept_mm.registry import MODELS


def sample(size, label=None, **meta):
    result = SegDataSample(metainfo=dict(
        img_path='a/b.jpg', ori_shape=size, img_shape=size, **meta))
    if label is not None:
        result.gt_sem_seg = PixelData(data=torch.from_numpy(label)[None])
    return result


def batch(*sizes, seed=0):
    rng = np.random.default_rng(seed)
    images = [torch.from_numpy(rng.integers(0, 256, (3, *size), np.uint8))
              for size in sizes]
    labels = [rng.integers(0, 40, size) for size in sizes]
    samples = [sample(size, label) for size, label in zip(sizes, labels)]
    return dict(inputs=images, data_samples=samples), images, labels


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('sizes', [[(16, 24)], [(13, 21)], [(1, 1)],
                                   [(13, 21), (30, 9), (8, 8)]])
def test_round_trip_of_odd_and_mixed_sizes(sizes, training):
    data, images, labels = batch(*sizes)
    out = OneStepDataPreprocessor(size_divisor=8)(data, training)
    height = max(-(-h // 8) * 8 for h, _ in sizes)
    width = max(-(-w // 8) * 8 for _, w in sizes)
    assert out['inputs'].shape == (len(sizes), 3, height, width)
    for index, (image, (h, w)) in enumerate(zip(images, sizes)):
        rgb = image.numpy()[::-1].astype(np.float64)
        np.testing.assert_allclose(
            out['inputs'][index, :, :h, :w], rgb / 255 * 2 - 1, atol=1e-6)
        padding = out['inputs'][index].clone()
        padding[:, :h, :w] = 0
        assert not padding.any()  # mid-grey
        result = out['data_samples'][index]
        label = result.gt_sem_seg.data[0].numpy()
        np.testing.assert_array_equal(label[:h, :w], labels[index])
        if training:
            assert label.shape == (height, width)
            assert (label == 255).sum() == height * width - h * w
        else:
            assert label.shape == (h, w)
            assert result.img_padding_size == (0, width - w, 0, height - h)


def test_range_ends_and_channel_order():
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    image[0] = 255  # blue, as mmcv loads BGR
    data = dict(inputs=[image], data_samples=[sample((8, 8))])
    out = OneStepDataPreprocessor()(data)['inputs'][0]
    assert (out[2] == 1).all() and (out[:2] == -1).all()
    out = OneStepDataPreprocessor(bgr_to_rgb=False)(
        dict(inputs=[image], data_samples=[sample((8, 8))]))['inputs'][0]
    assert (out[0] == 1).all() and (out[1:] == -1).all()


def test_same_input_same_output():
    runs = [OneStepDataPreprocessor()(batch((13, 21))[0], True)['inputs']
            for _ in range(2)]
    assert torch.equal(*runs)


def test_prediction_comes_back_at_the_original_size():
    """Through mmseg's own segmentor: the logits of every pixel must be
    those of the same image without padding."""
    from mmengine.config import ConfigDict
    from mmengine.registry import DefaultScope
    from mmseg.registry import MODELS
    from torch import nn

    class Identity(nn.Module):

        def forward(self, x):
            return (x, )

    cfg = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='genpercept_mm.OneStepDataPreprocessor', size_divisor=16),
        backbone=dict(type='ResNet', depth=18),
        decode_head=dict(
            type='FCNHead', in_channels=3, channels=3, in_index=0,
            num_convs=0, concat_input=False, dropout_ratio=0,
            num_classes=3),
        test_cfg=ConfigDict(mode='whole'))
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg)
    model.backbone = Identity()
    model.decode_head.conv_seg.weight.data = torch.eye(3).view(3, 3, 1, 1)
    model.decode_head.conv_seg.bias.data.zero_()
    data, images, _ = batch((13, 21), (30, 9))
    results = model.test_step(data)
    for image, result in zip(images, results):
        expected = image.flip(0).float() / 127.5 - 1
        torch.testing.assert_close(result.seg_logits.data, expected)


def test_bad_input():
    preprocessor = OneStepDataPreprocessor()
    with pytest.raises(ValueError, match=r'must be \(3, H, W\), got '
                       r'\(1, 8, 8\) for a/b.jpg'):
        preprocessor(dict(inputs=[torch.zeros(1, 8, 8)],
                          data_samples=[sample((8, 8))]))
    wrong = sample((8, 8), np.zeros((8, 9), int))
    with pytest.raises(ValueError, match=r'differ in size, \(8, 8\) and '
                       r'\(8, 9\) \(H, W\), for a/b.jpg'):
        preprocessor(dict(inputs=[torch.zeros(3, 8, 8)],
                          data_samples=[wrong]), training=True)
    with pytest.raises(ValueError, match='needs data_samples'):
        preprocessor(dict(inputs=[torch.zeros(3, 8, 8)]), training=True)
    with pytest.raises(ValueError, match='size_divisor must be at least 1'):
        OneStepDataPreprocessor(size_divisor=0)


def test_dense_targets_are_padded_with_pixels_that_do_not_count():
    samples = []
    for height in (9, 16):
        sample = SegDataSample()
        sample.set_data(dict(
            gt_target=PixelData(data=torch.ones(3, height, 16)),
            gt_target_mask=PixelData(
                data=torch.ones(1, height, 16, dtype=torch.bool))))
        samples.append(sample)
    data = OneStepDataPreprocessor()(dict(
        inputs=[torch.zeros(3, 9, 16), torch.zeros(3, 16, 16)],
        data_samples=samples), training=True)
    first = data['data_samples'][0]
    assert first.gt_target.data.shape == (3, 16, 16)
    assert first.gt_target_mask.data.sum() == 9 * 16
    assert not first.gt_target_mask.data[:, 9:].any()
    assert first.gt_target_mask.data.dtype == torch.bool


def with_maps(size, seed):
    """Every kind of label that our pipelines make, beside class ids."""
    rng = np.random.default_rng(seed)
    fields = dict(
        gt_depth_map=rng.uniform(1, 9, (1, *size)).astype(np.float32),
        gt_depth_mask=np.ones((1, *size), bool),
        gt_normal_map=rng.normal(size=(3, *size)).astype(np.float32),
        gt_alpha_map=rng.uniform(.1, 1, (1, *size)).astype(np.float32),
        gt_target=rng.uniform(-1, 1, (3, *size)).astype(np.float32),
        gt_target_mask=rng.uniform(size=(1, *size)) < .5,
        gt_sem_seg=rng.integers(0, 40, (1, *size)),
        gt_edge_map=rng.integers(0, 2, (1, *size)))
    sample = SegDataSample(metainfo=dict(ori_shape=size, img_shape=size))
    sample.set_data({key: PixelData(data=torch.from_numpy(value))
                     for key, value in fields.items()})
    return sample, fields


@pytest.mark.parametrize('ignored', [255, 9])
def test_kept_labels_are_padded_with_what_does_not_count(ignored):
    """np.pad says what: the ignored id for classes, 0 and False for maps."""
    sizes = [(9, 16), (16, 11), (13, 20)]
    samples, fields = zip(*(with_maps(size, seed)
                            for seed, size in enumerate(sizes)))
    out = OneStepDataPreprocessor(seg_pad_val=ignored)(dict(
        inputs=[torch.zeros(3, *size) for size in sizes],
        data_samples=list(samples)), training=True)
    assert out['inputs'].shape == (3, 3, 16, 24)
    for size, sample, given in zip(sizes, out['data_samples'], fields):
        assert set(sample.keys()) == set(given)
        for key, value in given.items():
            fill = ignored if key in ('gt_sem_seg', 'gt_edge_map') else 0
            expected = np.pad(value, [(0, 0), (0, 16 - size[0]),
                                      (0, 24 - size[1])],
                              constant_values=fill)
            found = sample.get(key).data.numpy()
            assert found.dtype == value.dtype
            np.testing.assert_array_equal(found, expected, key)


def test_a_test_leaves_labels_as_they_are():
    sample, fields = with_maps((9, 16), 0)
    out = OneStepDataPreprocessor()(dict(
        inputs=[torch.zeros(3, 9, 16)], data_samples=[sample]))
    for key, value in fields.items():
        np.testing.assert_array_equal(
            out['data_samples'][0].get(key).data, value)


@MODELS.register_module(name='ToyNegative', force=True)
class Negative:
    """Turn images and depths of a batch round."""

    def __init__(self, factor=-1):
        self.factor = factor

    def __call__(self, inputs, samples):
        for sample in samples:
            sample.gt_sem_seg.data = sample.gt_sem_seg.data * self.factor
        return inputs * self.factor, samples


@pytest.mark.parametrize('augments', [
    [dict(type='genpercept_mm.ToyNegative')],
    [dict(type='genpercept_mm.ToyNegative', factor=factor)
     for factor in (2, -.5)]])
def test_batches_are_augmented_as_a_whole(augments):
    """After the padding, in training only, one after the other."""
    for training in (False, True):
        data, _, _ = batch((13, 21), (8, 8))
        plain = OneStepDataPreprocessor()(data, training)
        data, _, _ = batch((13, 21), (8, 8))
        found = OneStepDataPreprocessor(batch_augments=augments)(
            data, training)
        sign = -1 if training else 1
        assert torch.equal(found['inputs'], sign * plain['inputs'])
        for ours, theirs in zip(found['data_samples'], plain['data_samples']):
            assert torch.equal(ours.gt_sem_seg.data,
                               sign * theirs.gt_sem_seg.data)


def test_augmentations_of_mmdet_fit():
    pytest.importorskip('mmdet')
    import mmdet.models  # noqa: F401
    data, images, _ = batch((13, 21), (8, 8))
    out = OneStepDataPreprocessor(batch_augments=[dict(
        type='mmdet.BatchFixedSizePad', size=(32, 48), pad_mask=False)])(
            data, True)
    assert out['inputs'].shape == (2, 3, 32, 48)
    assert not out['inputs'][:, :, 13:].any()
    torch.testing.assert_close(
        out['inputs'][0, :, :13, :21], images[0].flip(0) / 127.5 - 1)
    assert out['data_samples'][1].batch_input_shape == (32, 48)


def test_a_target_of_another_size_names_its_image():
    sample = SegDataSample(metainfo=dict(img_path='a.png'))
    sample.set_data(dict(gt_target=PixelData(data=torch.ones(3, 8, 8))))
    with pytest.raises(ValueError, match='a.png'):
        OneStepDataPreprocessor()(dict(
            inputs=[torch.zeros(3, 8, 16)], data_samples=[sample]),
            training=True)
