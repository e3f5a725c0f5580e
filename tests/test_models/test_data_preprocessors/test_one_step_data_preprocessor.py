import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from genpercept_mm.models import OneStepDataPreprocessor


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


def test_a_target_of_another_size_names_its_image():
    sample = SegDataSample(metainfo=dict(img_path='a.png'))
    sample.set_data(dict(gt_target=PixelData(data=torch.ones(3, 8, 8))))
    with pytest.raises(ValueError, match='a.png'):
        OneStepDataPreprocessor()(dict(
            inputs=[torch.zeros(3, 8, 16)], data_samples=[sample]),
            training=True)
