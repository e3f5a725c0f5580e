import numpy as np

from genpercept_mm.codecs import AffineDepthCodec, NormalCodec
from genpercept_mm.datasets.transforms import DenseRandomFlip

RNG = np.random.default_rng(0)


def test_normals_are_those_of_the_mirrored_scene():
    """Slopes measured on a height field and on its mirror image."""
    height = RNG.normal(size=(7, 9))

    def normals(field):
        dy, dx = np.gradient(field)
        return np.stack([-dx, -dy, np.ones_like(dx)], axis=2)

    target, mask = NormalCodec().encode(normals(height))
    results = DenseRandomFlip(prob=1)(dict(
        img=np.zeros((7, 9, 3), np.uint8), codec=NormalCodec(),
        gt_target=target, gt_target_mask=mask, gt_normal_map=target,
        seg_fields=['gt_target', 'gt_target_mask', 'gt_normal_map']))
    expected = NormalCodec().encode(normals(height[:, ::-1]))[0]
    for key in ('gt_target', 'gt_normal_map'):
        np.testing.assert_allclose(results[key], expected, atol=1e-6)
    assert results['flip'] and results['mirrored']


def test_other_targets_are_only_flipped():
    target, mask = AffineDepthCodec().encode(RNG.uniform(1, 2, (4, 6)))
    mask[:, 0] = False
    results = DenseRandomFlip(prob=1)(dict(
        img=np.zeros((4, 6, 3), np.uint8), codec=AffineDepthCodec(),
        gt_target=target, gt_target_mask=mask,
        seg_fields=['gt_target', 'gt_target_mask']))
    np.testing.assert_array_equal(results['gt_target'], target[:, ::-1])
    np.testing.assert_array_equal(results['gt_target_mask'], mask[:, ::-1])
