"""Which known points belong to which image."""
import cv2
import numpy as np
import pytest

from genpercept_mm.apis.calibration import Calibration
from genpercept_mm.apis.metric_scale import MetricScale


def result(name, seed=0):
    depth = np.random.default_rng(seed).uniform(0, 1, (6, 9))
    return dict(quantity='depth', depth=depth, name=name)


def write_points(path, depth, scale, shift):
    rows = [(u, v, scale * depth[v, u] + shift)
            for v in range(0, 6, 2) for u in range(0, 9, 2)]
    path.write_text('\n'.join('%d %d %.9f' % row for row in rows))


def test_each_image_has_its_own_points(tmp_path):
    (tmp_path / 'sub').mkdir()
    one, two = result('a', 1), result('sub/b', 2)
    write_points(tmp_path / 'a.txt', one['depth'], 3, .5)
    # a depth picture in millimetres, where 0 is unknown
    metres = 5 * two['depth'] + 1
    metres[::2] = 0
    cv2.imwrite(str(tmp_path / 'sub/b.png'),
                np.round(metres * 1000).astype(np.uint16))
    scale = MetricScale(str(tmp_path), depth_scale=.001)
    found = scale.of(one)
    assert (found.scale, found.shift) == pytest.approx((3, .5), rel=1e-6)
    found = scale.of(two)
    assert (found.scale, found.shift) == pytest.approx((5, 1), rel=1e-2)
    with pytest.raises(FileNotFoundError, match='no points for c; expected'):
        scale.of(result('c'))


def test_points_of_one_image_are_not_taken_for_another(tmp_path):
    one = result('a')
    write_points(tmp_path / 'points.txt', one['depth'], 3, .5)
    scale = MetricScale(str(tmp_path / 'points.txt'))
    assert scale.of(one).scale == pytest.approx(3)
    with pytest.raises(ValueError, match='the points of one image'):
        scale.of(result('b'))


def test_a_saved_calibration_serves_all(tmp_path):
    Calibration('depth', 2., 1.).save(str(tmp_path / 'c.json'))
    scale = MetricScale(str(tmp_path / 'c.json'))
    assert scale.of(result('a')) == scale.of(result('b')) == Calibration(
        'depth', 2., 1.)
    with pytest.raises(FileNotFoundError, match='none.txt does not exist'):
        MetricScale(str(tmp_path / 'none.txt'))


def test_what_cannot_be_calibrated_is_told_before_the_first_image():
    points = MetricScale([(1, 2, 3.), (2, 3, 4.)])
    points.check('disparity')
    with pytest.raises(ValueError, match='the model predicts normal'):
        points.check('normal')
    saved = MetricScale(Calibration('disparity', 1., 0.))
    with pytest.raises(ValueError, match='disparity, and the model predicts '
                       'depth'):
        saved.check('depth')
    with pytest.raises(ValueError, match='a calibration is given'):
        MetricScale(Calibration('depth', 1., 0.), depth_scale=.001)


def test_a_renamed_input_has_no_points_of_its_own(tmp_path):
    """x-2 may be the second x, or an image that is called so."""
    renamed = dict(result('x-2'), stem='x')
    write_points(tmp_path / 'x-2.txt', renamed['depth'], 3, .5)
    with pytest.raises(ValueError, match='another input is called x, too'):
        MetricScale(str(tmp_path)).of(renamed)
