import numpy as np
import pytest

from genpercept_mm.datasets.transforms import SensorDepthNoise
from genpercept_mm.datasets.transforms.sensor_depth_noise import (
    find_edges,
    neighbourhood_mean,
)

IDEAL = dict(disparity_scale=40, noise=0, step=0, window=1, edge_loss=0,
             edge_bleed=0, dark_loss=0, max_range=None)


def sample(depth, mask=None, brightness=1., name='room/0'):
    depth = np.asarray(depth, np.float32)
    image = np.full((*depth.shape, 3), round(brightness * 255), np.uint8)
    return dict(
        img=image, img_path=f'{name}.jpg', dataset_name='hypersim',
        sample_name=name, gt_depth_map=depth,
        gt_depth_mask=np.ones(depth.shape, bool) if mask is None else mask)


def measure(depth, mask=None, brightness=1., name='room/0', **arguments):
    results = SensorDepthNoise(**dict(IDEAL, **arguments))(
        sample(depth, mask, brightness, name))
    return results['gt_depth_map'], results['gt_depth_mask']


def plane(depth, size=(200, 300)):
    return np.full(size, depth, np.float32)


def two_walls(size=(20, 30), left=2., right=4.):
    return np.where(np.arange(size[1]) < size[1] // 2, left,
                    right) * np.ones((size[0], 1))


def test_an_ideal_sensor_changes_nothing():
    rng = np.random.default_rng(0)
    depth = rng.uniform(.5, 50, (24, 31))
    mask = rng.uniform(size=depth.shape) > .2
    found, valid = measure(depth, mask, brightness=0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[mask], depth[mask], rtol=1e-6)
    np.testing.assert_array_equal(valid, mask)


@pytest.mark.parametrize('depth', [1., 2., 4.])
def test_error_grows_with_the_square_of_depth(depth):
    """sigma z^2 / s; 60,000 pixels, so 1 % is more than three sigma."""
    found, valid = measure(plane(depth), noise=.1)
    assert valid.all()
    assert found.std() == pytest.approx(.1 * depth**2 / 40, rel=.015)
    disparity = 40 / found.astype(float)
    assert disparity.mean() == pytest.approx(40 / depth, abs=.002)
    assert disparity.std() == pytest.approx(.1, rel=.01)


def test_rounding_leaves_multiples_and_a_uniform_error():
    depth = 40 / np.linspace(10, 20, 60000).reshape(200, 300)
    found, _ = measure(depth, step=.125)
    steps = 40 / found.astype(float) / .125
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
    error = 40 / found.astype(float) - 40 / depth
    assert np.abs(error).max() <= .0625 + 1e-5
    assert error.std() == pytest.approx(.125 / 12**.5, rel=.01)


def test_a_block_has_one_error():
    found, _ = measure(plane(2, (42, 31)), noise=.1, window=5)
    for top in range(0, 42, 5):
        for left in range(0, 31, 5):
            block = found[top:top + 5, left:left + 5]
            assert block.min() == block.max()
    assert len(np.unique(found)) == 9 * 7


def test_returns_are_missing_at_edges_only():
    """The two columns beside the step."""
    found, valid = measure(two_walls(), edge_loss=1, edge_ratio=1.5)
    assert not valid[:, 14:16].any() and valid.sum() == 20 * 28
    assert (found[~valid] == 0).all()
    assert measure(two_walls(), edge_loss=1, edge_ratio=2.1)[1].all()


def test_masked_share_at_edges_is_the_probability():
    _, valid = measure(two_walls((8000, 8)), edge_loss=.3)
    # 16,000 pixels, sd .0036
    assert (~valid[:, 3:5]).mean() == pytest.approx(.3, abs=.015)
    assert valid[:, [0, 1, 2, 5, 6, 7]].all()


def test_foreground_and_background_bleed_into_each_other():
    """Disparities 20 and 10; a third of the neighbourhood is beyond."""
    found, _ = measure(two_walls(), edge_bleed=.6)
    expected = 40 / np.array([20, 20, 20 - .6 * 10 / 3, 10 + .6 * 10 / 3,
                              10, 10])
    np.testing.assert_allclose(found[:, 12:18], np.tile(expected, (20, 1)),
                               rtol=1e-6)


def test_nothing_returns_from_beyond_the_range():
    depth = np.linspace(1, 9, 81).reshape(9, 9)
    np.testing.assert_array_equal(
        measure(depth, max_range=6.05)[1], depth < 6.05)
    # where noise leaves no disparity
    found, valid = measure(plane(40), noise=2)
    assert valid.mean() == pytest.approx(.6915, abs=.01)  # Phi(1 / 2)
    assert (found[valid] > 0).all() and np.isfinite(found).all()


@pytest.mark.parametrize('brightness, share', [
    (0, .8), (51 / 255, .4), (102 / 255, 0), (1, 0)])
def test_dark_surfaces_are_missing(brightness, share):
    _, valid = measure(plane(2), brightness=brightness, dark_level=.4,
                       dark_loss=.8)
    assert (~valid).mean() == pytest.approx(share, abs=.01)


def test_causes_of_loss_are_independent():
    """1 - (1 - .3) (1 - .5) at edges in the dark, .5 elsewhere."""
    _, valid = measure(two_walls((8000, 8)), brightness=0, edge_loss=.3,
                       dark_loss=.5)
    assert (~valid[:, 3:5]).mean() == pytest.approx(.65, abs=.016)
    assert (~valid[:, :3]).mean() == pytest.approx(.5, abs=.013)


def test_a_label_is_the_same_every_time_and_its_own():
    def depth(name='room/0', **arguments):
        np.random.seed()
        return measure(plane(2, (20, 30)), noise=.1, name=name,
                       **arguments)[0]

    np.testing.assert_array_equal(depth(), depth())
    for other in (depth('room/1'), depth(seed=1)):
        # not even correlated
        assert abs(np.corrcoef(depth().ravel(), other.ravel())[0, 1]) < .2
    twice = SensorDepthNoise(**dict(IDEAL, noise=.1))
    first = twice(sample(plane(2)))['gt_depth_map']
    np.testing.assert_array_equal(
        twice(sample(plane(2)))['gt_depth_map'], first)


def test_pixels_without_depth_neither_make_edges_nor_get_depth():
    mask = np.ones((20, 30), bool)
    mask[5:9, 5:9] = False
    depth = np.where(mask, 2, 0)
    found, valid = measure(depth, mask, edge_loss=1, edge_bleed=1, noise=.1)
    np.testing.assert_array_equal(valid, mask)
    assert (found[~mask] == 0).all()


def test_neighbourhoods_by_brute_force():
    rng = np.random.default_rng(1)
    depth = rng.uniform(1, 3, (9, 11)).astype(np.float32)
    valid = rng.uniform(size=depth.shape) > .4
    edges = find_edges(depth, valid, 2)
    means = neighbourhood_mean(depth, valid)
    for y in range(9):
        for x in range(11):
            window = (slice(max(y - 1, 0), y + 2), slice(max(x - 1, 0), x + 2))
            there = depth[window][valid[window]]
            assert edges[y, x] == (
                valid[y, x] and there.max() > 2 * there.min())
            assert means[y, x] == pytest.approx(
                there.mean() if len(there) else 0)
    assert 0 < edges.sum() < valid.sum()


def test_image_is_needed_for_dark_surfaces_only():
    results = sample(plane(2, (4, 4)))
    del results['img']
    SensorDepthNoise(dark_loss=0)(dict(results))
    with pytest.raises(ValueError, match=r"SensorDepthNoise: .*\['img'\]"):
        SensorDepthNoise()(results)


@pytest.mark.parametrize('arguments, message', [
    (dict(disparity_scale=0), 'disparity_scale must be positive'),
    (dict(noise=-.1), 'noise must be at least 0'),
    (dict(step=-1), 'step must be at least 0'),
    (dict(window=0), 'window must be at least 1'),
    (dict(edge_ratio=1), 'edge_ratio must be above 1'),
    (dict(edge_loss=1.1), r'edge_loss must be in \[0, 1\], got 1.1'),
    (dict(edge_bleed=-1), 'edge_bleed must be in'),
    (dict(dark_level=0), 'dark_level must be in'),
    (dict(dark_loss=2), 'dark_loss must be in'),
    (dict(max_range=0), 'max_range must be positive or None'),
    (dict(seed=-1), 'seed must be at least 0'),
])
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f'SensorDepthNoise: {message}'):
        SensorDepthNoise(**arguments)


def test_depth_must_be_loaded_before():
    with pytest.raises(ValueError, match='SensorDepthNoise: .*gt_depth_map'):
        SensorDepthNoise()(dict(img_path='a.jpg', sample_name='a'))
