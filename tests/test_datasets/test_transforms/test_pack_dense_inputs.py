import numpy as np
import pytest
import torch
from mmseg.datasets.transforms import RandomCutOut, RandomFlip

from genpercept_mm.codecs import AffineDepthCodec, NormalCodec
from genpercept_mm.datasets.transforms import DenseRandomFlip, PackDenseInputs

RNG = np.random.default_rng(0)


def test_every_label_is_packed_channels_first():
    depth, normals = RNG.uniform(size=(4, 6)), RNG.normal(size=(4, 6, 3))
    packed = PackDenseInputs()(dict(
        img=np.zeros((4, 6, 3), np.uint8), img_path='a.png',
        dataset_name='toy', sample_name='a', ori_shape=(4, 6),
        gt_depth_map=depth, gt_depth_mask=depth > .5, gt_normal_map=normals,
        gt_seg_map=np.ones((4, 6), int),
        seg_fields=['gt_depth_map', 'gt_depth_mask', 'gt_normal_map',
                    'gt_seg_map']))
    sample = packed['data_samples']
    assert packed['inputs'].shape == (3, 4, 6)
    np.testing.assert_array_equal(sample.gt_depth_map.data[0], depth)
    assert sample.gt_depth_mask.data.dtype == torch.bool
    np.testing.assert_array_equal(
        sample.gt_normal_map.data, normals.transpose(2, 0, 1))
    assert sample.gt_sem_seg.data.shape == (1, 4, 6)
    assert 'gt_seg_map' not in sample
    assert (sample.dataset_name, sample.sample_name) == ('toy', 'a')


def packed_after(flip, codec, label):
    target, mask = codec.encode(label)
    return PackDenseInputs()(flip(dict(
        img=np.zeros((4, 6, 3), np.uint8), codec=codec, gt_target=target,
        gt_target_mask=mask, seg_fields=['gt_target', 'gt_target_mask'])))


def test_a_flip_that_does_not_know_directions_is_refused():
    normals = RNG.normal(size=(4, 6, 3))
    with pytest.raises(ValueError, match='DenseRandomFlip'):
        packed_after(RandomFlip(prob=1.), NormalCodec(), normals)
    packed_after(RandomFlip(prob=0.), NormalCodec(), normals)
    packed_after(DenseRandomFlip(prob=1.), NormalCodec(), normals)
    packed_after(RandomFlip(prob=1.), AffineDepthCodec(),
                 RNG.uniform(1, 2, (4, 6)))


def test_what_mmseg_fills_in_is_no_target():
    """255 is its ignored class; here, it would be learnt."""
    target, mask = AffineDepthCodec().encode(RNG.uniform(1, 9, (40, 60)))
    results = RandomCutOut(
        1., n_holes=1, cutout_shape=(8, 8), seg_fill_in=255)(dict(
            img=np.zeros((40, 60, 3), np.uint8), img_path='a.png',
            gt_target=target, gt_target_mask=mask,
            seg_fields=['gt_target', 'gt_target_mask']))
    with pytest.raises(ValueError, match='a target of a.png has the value 255'
                       ' .*leave out that transform'):
        PackDenseInputs()(results)
