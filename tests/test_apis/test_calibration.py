"""Scale and shift from a few known points."""
import json

import cv2
import numpy as np
import pytest

from genpercept_mm.apis.calibration import Calibration, calibrate

SIZE = (30, 40)


def scene(quantity='depth', seed=0):
    """A relative map, and the metres that it stands for."""
    rng = np.random.default_rng(seed)
    metres = cv2.resize(rng.uniform(1, 9, (5, 6)), SIZE[::-1])
    if quantity == 'depth':
        return (metres - .7) / 11.3, metres
    return (1 / metres - .02) / 1.7, metres


def some_points(metres, count=200, seed=1):
    rng = np.random.default_rng(seed)
    flat = rng.choice(metres.size, count, replace=False)
    v, u = np.unravel_index(flat, SIZE)
    return np.stack([u, v, metres[v, u]], 1).astype(float)


@pytest.mark.parametrize('quantity, scale, shift', [
    ('depth', 11.3, .7), ('disparity', 1.7, .02)])
@pytest.mark.parametrize('robust', [True, False])
def test_exact_points_give_the_exact_line(quantity, scale, shift, robust):
    pred, metres = scene(quantity)
    found = calibrate(pred, some_points(metres), robust=robust,
                      quantity=quantity)
    assert found.scale == pytest.approx(scale, rel=1e-6)
    assert found.shift == pytest.approx(shift, rel=1e-5)
    np.testing.assert_allclose(found.apply(pred), metres, rtol=1e-5)
    assert found.error < 1e-6


@pytest.mark.parametrize('quantity', ['depth', 'disparity'])
def test_a_third_of_wrong_points_does_not_matter(quantity):
    pred, metres = scene(quantity)
    points = some_points(metres)
    points[::3, 2] *= np.random.default_rng(2).uniform(2, 20, len(
        points[::3]))
    found = calibrate(pred, points, quantity=quantity)
    least_squares = calibrate(pred, points, robust=False, quantity=quantity)

    def error(calibration):
        return np.median(np.abs(calibration.apply(pred) / metres - 1))

    assert error(found) < .05 < error(least_squares)
    assert found.inliers < found.points


def test_agrees_with_scikit_learn():
    linear = pytest.importorskip('sklearn.linear_model')
    pred, metres = scene()
    points = some_points(metres)
    noise = np.random.default_rng(3).normal(0, .05, len(points))
    points[:, 2] += noise
    points[::4, 2] += 30
    u, v, z = points.T
    x = pred[v.astype(int), u.astype(int)]
    theirs = linear.RANSACRegressor(
        max_trials=1000, random_state=42).fit(x[:, None], z)
    found = calibrate(pred, points, quantity='depth')
    assert found.scale == pytest.approx(
        theirs.estimator_.coef_[0], rel=.05)
    assert found.inliers == pytest.approx(theirs.inlier_mask_.sum(), rel=.05)


def test_scale_alone_is_the_median_ratio():
    pred, metres = scene()
    points = some_points(metres, 51)
    u, v, z = points.T
    ratios = z / pred[v.astype(int), u.astype(int)]
    found = calibrate(pred, points, 'scale', quantity='depth')
    assert found.scale == pytest.approx(np.median(ratios))
    assert found.shift == 0


def test_files_and_maps_are_read(tmp_path):
    pred, metres = scene()
    result = dict(quantity='depth', depth=pred)
    points = some_points(metres)
    sparse = np.zeros(SIZE)
    sparse[points[:, 1].astype(int), points[:, 0].astype(int)] = points[:, 2]
    np.savetxt(tmp_path / 'points.txt', points, header='u v z')
    np.savetxt(tmp_path / 'points.csv', points, delimiter=',')
    np.save(tmp_path / 'sparse.npy', sparse)
    cv2.imwrite(str(tmp_path / 'sparse.png'),
                np.round(sparse * 1000).astype(np.uint16))
    expected = calibrate(result, points)
    for given in (sparse, tmp_path / 'points.txt', tmp_path / 'points.csv',
                  str(tmp_path / 'sparse.npy')):
        found = calibrate(result, given)
        assert found.scale == pytest.approx(expected.scale, rel=1e-6)
    found = calibrate(result, tmp_path / 'sparse.png', depth_scale=1 / 1000)
    assert found.scale == pytest.approx(expected.scale, rel=1e-3)
    with pytest.raises(ValueError, match='sparse.png .*needs depth_scale'):
        calibrate(result, tmp_path / 'sparse.png')


def test_it_is_saved_and_used_again(tmp_path):
    pred, metres = scene('disparity')
    found = calibrate(pred, some_points(metres), quantity='disparity')
    found.save(str(tmp_path / 'a.json'))
    again = Calibration.load(str(tmp_path / 'a.json'))
    assert again == found
    np.testing.assert_array_equal(again.apply(pred), found.apply(
        dict(quantity='disparity', disparity=pred)))
    (tmp_path / 'b.json').write_text('{"a": 1}')
    with pytest.raises(ValueError, match='b.json is not a saved calibration'):
        Calibration.load(str(tmp_path / 'b.json'))


@pytest.mark.parametrize('pred, points, kwargs, message', [
    (0, [[1, 2, 3.]], {}, '1 known points; .* at least 2'),
    (0, [[1, 2, 3.], [40, 2, 3.]], {}, 'outside the image .* u v = 40 2'),
    (0, [[1, 2.]], {}, r'must be \(N, 3\)'),
    (dict(quantity='normal'), [[1, 2, 3.]], {}, "metres, got 'normal'"),
    (0, [[1, 2, 3.]], dict(mode='cubic'), "mode must be one of"),
    (0, [[1, 2, 3.]], dict(quantity=None), 'quantity must be one of'),
])
def test_what_cannot_be_fitted_is_refused(pred, points, kwargs, message):
    pred = scene()[0] if pred == 0 else pred
    kwargs = dict(dict(quantity=None if isinstance(pred, dict) else 'depth'),
                  **kwargs)
    with pytest.raises(ValueError, match=message):
        calibrate(pred, np.array(points), **kwargs)


def test_the_wrong_direction_is_told():
    pred, metres = scene()
    with pytest.raises(ValueError, match='does not increase with the known'):
        calibrate(-pred, some_points(metres), quantity='depth')


@pytest.mark.parametrize('quantity', ['depth', 'disparity'])
def test_log_space_agrees_with_polyfit(quantity):
    rng = np.random.default_rng(5)
    pred = rng.uniform(.05, 1, SIZE)
    target = np.exp(.3 + 1.7 * np.log(pred) + rng.normal(0, .01, SIZE))
    metres = target if quantity == 'depth' else 1 / target
    points = some_points(metres)
    found = calibrate(pred, points, 'log', False, quantity)
    u, v = points[:, :2].astype(int).T
    scale, shift = np.polyfit(np.log(pred[v, u]), np.log(target[v, u]), 1)
    assert (found.scale, found.shift) == pytest.approx((scale, shift))
    np.testing.assert_allclose(found.apply(pred), metres, rtol=.06)
    assert found.error < .02


@pytest.mark.parametrize('count', [2, 3, 4, 5, 6, 7])
def test_few_points_are_not_voted_on(count):
    pred, metres = scene()
    points = some_points(metres, count)
    points[:, 2] *= 1 + np.random.default_rng(count).normal(0, .03, count)
    found = calibrate(pred, points, quantity='depth')
    u, v = points[:, :2].astype(int).T
    scale, shift = np.polyfit(pred[v, u], points[:, 2], 1)
    assert (found.scale, found.shift) == pytest.approx((scale, shift))
    assert found.inliers == count
    # the error is that of all points, not of those that agree
    assert found.error == pytest.approx(np.median(
        np.abs(scale * pred[v, u] + shift - points[:, 2]) / points[:, 2]),
        rel=1e-4, abs=1e-6)


@pytest.mark.parametrize('kind', ['npy', 'tiff', 'array'])
def test_units_of_maps_count_in_every_format(tmp_path, kind):
    pred, metres = scene()
    values = np.round(metres * 1000)
    if kind == 'tiff':
        given = str(tmp_path / 'a.tiff')
        cv2.imwrite(given, values.astype(np.float32))
    elif kind == 'npy':
        given = str(tmp_path / 'a.npy')
        np.save(given, values.astype(np.uint16))
    else:
        given = values.astype(np.int32)
    found = calibrate(pred, given, quantity='depth', depth_scale=.001)
    assert found.scale == pytest.approx(11.3, rel=1e-3)
    if kind != 'tiff':
        with pytest.raises(ValueError, match='needs depth_scale'):
            calibrate(pred, given, quantity='depth')
    with pytest.raises(ValueError, match='depth_scale is for maps'):
        calibrate(pred, some_points(metres), quantity='depth',
                  depth_scale=.001)


def test_what_lies_behind_the_camera_is_unknown():
    pred = np.linspace(0, 1, 12).reshape(3, 4)
    metres = Calibration('depth', 2., -1.).apply(pred)
    assert np.isnan(metres[pred < .5]).all()
    np.testing.assert_allclose(metres[pred > .51], 2 * pred[pred > .51] - 1,
                               rtol=1e-5)
    far = Calibration('disparity', 1., -.5).apply(pred)
    assert np.isnan(far[pred <= .5]).all() and np.isfinite(
        far[pred > .51]).all()
    with pytest.raises(ValueError, match='one of disparity, and the pred'):
        Calibration('disparity', 1., 0.).apply(dict(
            quantity='depth', depth=pred))


@pytest.mark.parametrize('field, value', [
    ('mode', 'Log'), ('quantity', 'normal'), ('scale', 'much')])
def test_saved_nonsense_is_refused(tmp_path, field, value):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps({
        **dict(quantity='depth', scale=1., shift=0.), field: value}))
    with pytest.raises(ValueError, match='a.json is not a saved calibration'):
        Calibration.load(str(path))


def test_a_dense_map_of_a_large_image_is_no_problem():
    rng = np.random.default_rng(0)
    pred = rng.uniform(.1, 1, (500, 700))
    metres = 4 * pred + .5
    wrong = rng.random(pred.shape) < .3
    metres[wrong] = rng.uniform(1, 50, wrong.sum())
    found = calibrate(pred, metres, quantity='depth')
    assert (found.scale, found.shift) == pytest.approx((4, .5), rel=.01)


@pytest.mark.parametrize('count', [1, 60])
def test_the_clipped_end_says_nothing_about_ratios(count):
    """In log space, zeros would be far below all other points."""
    pred = np.linspace(.1, 1, SIZE[0] * SIZE[1]).reshape(SIZE)
    metres = 3 * pred**.5
    pred[0] = 0
    pred[1:, 0] = 0
    points = some_points(metres, 300)
    zero = pred[points[:, 1].astype(int), points[:, 0].astype(int)] == 0
    points = np.concatenate([points[~zero][:6 + count], np.array(
        [[number % 40, 0, 2.] for number in range(count)])])
    found = calibrate(pred, points, 'log', quantity='depth')
    assert found.scale == pytest.approx(.5, rel=1e-6)
    assert found.points == 6 + 2 * count


@pytest.mark.parametrize('quantity', ['depth', 'disparity'])
def test_no_distance_beyond_a_kilometre_or_below_a_millimetre(quantity):
    metres = np.array([[5e-4, 2e-3, 900., 1100.]])
    pred = metres if quantity == 'depth' else 1 / metres
    found = Calibration(quantity, 1, 0).apply(pred)
    np.testing.assert_allclose(
        found, [[np.nan, 2e-3, 900, np.nan]], rtol=1e-6)


def test_points_without_a_distance_count_as_wrong():
    """Here, the line is below zero at a third of the points."""
    pred, metres = scene()
    points = some_points(metres, 60)
    points[:, 2] = np.where(
        points[:, 2] < np.quantile(points[:, 2], .33), .01,
        points[:, 2] * 3 - 9)
    points = points[points[:, 2] > 0]
    found = calibrate(pred, points, robust=False, quantity='depth')
    at = found.apply(pred)[points[:, 1].astype(int), points[:, 0].astype(int)]
    errors = np.abs(at - points[:, 2]) / points[:, 2]
    assert np.isnan(errors).any()
    assert found.error == pytest.approx(np.sort(np.nan_to_num(
        errors, nan=np.inf))[[(len(errors) - 1) // 2,
                              len(errors) // 2]].mean())


def test_points_up_to_the_edge_of_the_last_pixel():
    pred, metres = scene()
    points = some_points(metres, 300)
    expected = calibrate(pred, points, quantity='depth')
    edge = points.copy()
    last = points[:, 0] == SIZE[1] - 1
    assert last.any()
    edge[last, 0] = SIZE[1] - .3
    assert calibrate(pred, edge, quantity='depth') == expected
    edge[0, 0] = SIZE[1]
    with pytest.raises(ValueError, match='1 of 300 points .*outside'):
        calibrate(pred, edge, quantity='depth')


def test_odd_files_of_points(tmp_path):
    pred, metres = scene()
    points = some_points(metres, 50)
    expected = calibrate(pred, points, quantity='depth')
    text = '\n'.join(' '.join(map(repr, map(float, row))) for row in points)
    (tmp_path / 'bom.txt').write_text('\ufeff' + text, encoding='utf-8')
    assert calibrate(
        pred, str(tmp_path / 'bom.txt'), quantity='depth') == expected
    (tmp_path / 'a.dat').write_text(text)
    with pytest.raises(ValueError, match='a.dat has none of the suffixes'):
        calibrate(pred, str(tmp_path / 'a.dat'), quantity='depth')
    for wrong in (0, -1., np.nan):
        with pytest.raises(ValueError, match='depth_scale must be positive'):
            calibrate(pred, metres, quantity='depth', depth_scale=wrong)
