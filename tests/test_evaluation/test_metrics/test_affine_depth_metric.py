import math

import cv2
import numpy as np
import pytest
import torch

from genpercept_mm.evaluation import AffineDepthMetric

KEYS = ('abs_rel', 'sq_rel', 'rmse', 'rmse_log', 'log10', 'delta1', 'delta2',
        'delta3', 'i_rmse', 'silog')
PERFECT = dict.fromkeys(KEYS, 0.) | dict(delta1=1., delta2=1., delta3=1.)


def scene(seed=0, size=(9, 11)):
    """Depth of 0.5 to 100 m with holes, and a noisy relative depth."""
    rng = np.random.default_rng(seed)
    gt = np.exp(rng.uniform(-.7, 4.6, size)).astype(np.float32)
    pred = gt / gt.max() + .05 * rng.standard_normal(size)
    gt[rng.random(size) < .2] = 0
    return np.clip(pred, 0, 1).astype(np.float32), gt


def sample(pred, gt, kind='depth', index=0, mask=None):
    data = dict(img_path=f'{index}.png')
    data[f'pred_{kind}_map'] = dict(data=torch.from_numpy(pred)[None])
    if gt is not None:
        data['gt_depth_map'] = dict(data=torch.from_numpy(gt)[None])
    if mask is not None:
        data['gt_depth_mask'] = dict(data=torch.from_numpy(mask)[None])
    return data


def evaluate(samples, **kwargs):
    metric = AffineDepthMetric(prefix='x', **kwargs)
    metric.process({}, samples)
    return {key[2:]: value
            for key, value in metric.evaluate(len(samples)).items()}


def brute_force(pred, gt, mask, alignment, low, high):
    """Pixel by pixel; NumPy solves the fit."""
    pixels = [(float(p), float(g)) for p, g, m in zip(
        pred.flat, gt.flat, mask.flat) if m and low < g < high]
    fitted = pixels
    if alignment == 'least_square_disparity':
        fitted = [(p, 1 / g) for p, g in pixels if p > 0]
    scale, shift = 1., 0.
    if alignment is not None:
        scale, shift = np.linalg.lstsq(
            [[p, 1.] for p, _ in fitted], [g for _, g in fitted],
            rcond=None)[0]
    sums = dict.fromkeys(KEYS, 0.)
    log_sum = 0.
    for p, g in pixels:
        d = scale * p + shift
        if alignment == 'least_square_disparity':
            d = 1 / max(d, 1e-3)
        d = max(min(max(d, low), high), 1e-6)
        log = math.log(d / g)
        log_sum += log
        sums['abs_rel'] += abs(d - g) / g
        sums['sq_rel'] += (d - g)**2 / g
        sums['rmse'] += (d - g)**2
        sums['rmse_log'] += log**2
        sums['log10'] += abs(math.log10(d) - math.log10(g))
        sums['i_rmse'] += (1 / d - 1 / g)**2
        for power in (1, 2, 3):
            sums[f'delta{power}'] += max(d / g, g / d) < 1.25**power
    n = len(pixels)
    result = {key: value / n for key, value in sums.items()}
    result['silog'] = 100 * math.sqrt(
        result['rmse_log'] - (log_sum / n)**2)
    for key in ('rmse', 'rmse_log', 'i_rmse'):
        result[key] = math.sqrt(result[key])
    return result


def test_worked_numbers():
    result = AffineDepthMetric.calculate(
        np.array([[1., 2., 4.]]), np.array([[2., 2., 2.]]), alignment=None)
    assert result == pytest.approx(dict(
        abs_rel=.5, sq_rel=.83333, rmse=1.29099, rmse_log=.56595,
        log10=.200687, delta1=1 / 3, delta2=1 / 3, delta3=1 / 3,
        i_rmse=.322749, silog=56.5952), rel=1e-5)


@pytest.mark.parametrize('alignment', [
    'least_square', 'least_square_disparity', None])
@pytest.mark.parametrize('seed', range(4))
def test_equals_brute_force(alignment, seed):
    pred, gt = scene(seed)
    if alignment == 'least_square_disparity':
        # some not positive, and some fitted to less than the least disparity
        pred = (1 - pred).clip(0, 1) * (gt != gt.max())
    elif alignment is None:
        pred = pred * 100
    mask = np.random.default_rng(seed).random(gt.shape) < .8
    expected = brute_force(pred, gt, mask, alignment, 1., 60.)
    assert expected['rmse'] > .1
    assert AffineDepthMetric.calculate(
        pred, gt, mask, alignment, 1., 60.) == pytest.approx(
            expected, rel=1e-9)


@pytest.mark.parametrize('scale, shift', [(.01, 0.), (3., 7.), (-.2, .9)])
def test_scale_and_shift_do_not_matter(scale, shift):
    _, gt = scene()
    assert AffineDepthMetric.calculate(
        scale * gt.astype(float) + shift, gt) == pytest.approx(
            PERFECT, abs=1e-5)
    disparity = 1 / np.where(gt > 0, gt, 1).astype(float)
    assert AffineDepthMetric.calculate(
        abs(scale) * disparity + shift, gt,
        alignment='least_square_disparity') == pytest.approx(
            PERFECT, abs=1e-5)


def test_constant_predictions():
    _, gt = scene()
    valid = gt[(gt > 0) & (gt < 80)].astype(float)
    constant = np.full_like(gt, .7)
    assert AffineDepthMetric.calculate(constant, gt)[
        'rmse'] == pytest.approx(valid.std())
    # nothing is positive: the farthest depth there may be
    nothing = AffineDepthMetric.calculate(
        0 * constant, gt, alignment='least_square_disparity')
    assert nothing['rmse'] == pytest.approx(
        math.sqrt(((80 - valid)**2).mean()))
    unlimited = gt[gt > 0].astype(float)
    assert AffineDepthMetric.calculate(
        0 * constant, gt, alignment='least_square_disparity',
        max_depth=None)['rmse'] == pytest.approx(
            math.sqrt(((1000 - unlimited)**2).mean()))


@pytest.mark.parametrize('crop, rows, columns', [
    ('eigen_kitti', (117, 321), (43, 1172)),
    ('garg_kitti', (143, 349), (43, 1172))])
def test_kitti_crops(crop, rows, columns):
    valid = AffineDepthMetric.valid_mask(np.ones((352, 1216)), crop=crop)
    where = np.nonzero(valid)
    assert (where[0].min(), where[0].max() + 1) == rows
    assert (where[1].min(), where[1].max() + 1) == columns
    assert valid.sum() == (rows[1] - rows[0]) * (columns[1] - columns[0])


def test_nyu_crop():
    valid = AffineDepthMetric.valid_mask(
        np.ones((1, 480, 640)), crop='eigen_nyu')
    assert valid[45:471, 41:601].all() and valid.sum() == 426 * 560
    with pytest.raises(ValueError, match='480 x 640, got 240 x 320'):
        AffineDepthMetric.valid_mask(np.ones((240, 320)), crop='eigen_nyu')


def test_range_is_strict_and_can_be_left_to_the_mask():
    gt = np.array([[.5, .6, 1., 9.9, 10., 11., np.inf, np.nan, 0., -1.]])
    mask = np.ones(gt.shape, bool)
    mask[0, 2] = False
    assert np.flatnonzero(AffineDepthMetric.valid_mask(
        gt, mask, .6, 10.)).tolist() == [3]
    assert np.flatnonzero(AffineDepthMetric.valid_mask(
        gt, mask, .6, None)).tolist() == [3, 4, 5]
    assert np.flatnonzero(AffineDepthMetric.valid_mask(
        gt, mask, .6, 10., mask_by_range=False)).tolist() == [
            0, 1, 3, 4, 5]


def test_predictions_are_clipped_where_the_range_does_not_mask():
    gt = np.array([[1., 400.]])
    result = AffineDepthMetric.calculate(
        gt, gt, None, None, 2., 350., mask_by_range=False)
    assert result['abs_rel'] == pytest.approx((1 + 50 / 400) / 2)


@pytest.mark.parametrize('width_only', [False, True])
def test_fit_on_a_subsample(width_only):
    pred, gt = scene(size=(6, 20))
    factor = 8 / 20
    columns = [math.floor(i / factor) for i in range(8)]
    rows = range(6) if width_only else [
        math.floor(i / factor) for i in range(int(6 * factor))]
    valid = gt > 0
    picked = [(pred[r, c], gt[r, c]) for r in rows for c in columns
              if valid[r, c]]
    assert 5 < len(picked) < valid.sum()
    scale, shift = np.linalg.lstsq(
        [[p, 1] for p, _ in picked], [g for _, g in picked], rcond=None)[0]
    depth = AffineDepthMetric.aligned_depth(
        pred, gt, valid, max_depth=None, alignment_max_res=8,
        alignment_width_only=width_only)
    assert depth == pytest.approx(
        np.maximum(scale * pred.astype(float) + shift, 1e-5), rel=1e-5)


def test_images_count_alike_whatever_their_pixels():
    one, two = scene(1), scene(2)
    two[1][:7] = 0
    separate = [AffineDepthMetric.calculate(*item) for item in (one, two)]
    together = evaluate([sample(*one), sample(*two, index=1)])
    assert together == pytest.approx({
        key: (separate[0][key] + separate[1][key]) / 2 for key in KEYS})


def test_alignment_follows_the_prediction():
    pred, gt = scene()
    for kind, alignment in (('depth', 'least_square'),
                            ('disparity', 'least_square_disparity')):
        assert evaluate([sample(pred, gt, kind)]) == pytest.approx(
            AffineDepthMetric.calculate(pred, gt, alignment=alignment))
    with pytest.raises(ValueError, match='pred_disparity_map is missing.*'
                       r"\['pred_depth_map'\]"):
        evaluate([sample(pred, gt)], alignment='least_square_disparity')


def test_arguments_reach_the_calculation():
    pred, gt = scene(size=(40, 60))
    mask = np.random.default_rng(0).random(gt.shape) < .5
    options = dict(min_depth=2., max_depth=30., crop='eigen_kitti',
                   alignment_max_res=20, alignment_width_only=True)
    result = evaluate([sample(pred, gt, mask=mask)], **options)
    assert result == pytest.approx(
        AffineDepthMetric.calculate(pred, gt, mask, **options))
    assert result != AffineDepthMetric.calculate(pred, gt, mask)


def test_image_with_no_depth_in_range_is_skipped():
    pred, gt = scene()
    samples = [sample(pred, gt), sample(pred, gt * 0 + 90, index=1)]
    assert evaluate(samples) == evaluate(samples[:1])
    with pytest.raises(ValueError, match='no valid pixel.*metres'):
        AffineDepthMetric.calculate(pred, gt * 0)


def test_files(tmp_path):
    pred, gt = scene()
    for output_format in ('npy', 'png', 'kitti_png'):
        evaluate([sample(pred, gt)], output_format=output_format,
                 output_dir=str(tmp_path / output_format))
    saved = np.load(tmp_path / 'npy/0.npy')
    assert saved.dtype == np.float32 and (saved == pred).all()
    read = [cv2.imread(str(tmp_path / name / '0.png'), cv2.IMREAD_UNCHANGED)
            for name in ('png', 'kitti_png')]
    assert [image.dtype for image in read] == [np.uint16] * 2
    assert np.abs(read[0] / 65535 - pred).max() < 2e-5
    valid = (gt > 0) & (gt < 80)
    scale, shift = np.polyfit(pred[valid].astype(float), gt[valid], 1)
    expected = np.clip(scale * pred + shift, 1e-5, 80)
    assert np.abs(read[1] / 256 - expected).max() < .51 / 256


@pytest.mark.parametrize('output_format, scale', [
    ('png', 65535), ('kitti_png', 256)])
def test_files_are_rounded_not_cut_off(tmp_path, output_format, scale):
    steps = np.array([[0, 1, 1000, 30000]])
    for part, expected in ((.4, steps), (.6, steps + 1)):
        pred = ((steps + part) / scale).astype(np.float32)
        evaluate([sample(pred, None)], output_format=output_format,
                 alignment=None, output_dir=str(tmp_path), format_only=True,
                 max_depth=200.)
        image = cv2.imread(str(tmp_path / '0.png'), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(image, expected)


def test_files_without_labels(tmp_path):
    pred, gt = scene()
    samples = [sample(pred * 50, None)]
    options = dict(output_dir=str(tmp_path), format_only=True)
    assert evaluate(samples, **options) == {}
    assert (tmp_path / '0.npy').is_file()
    assert evaluate(samples, output_format='kitti_png', alignment=None,
                    **options) == {}
    image = cv2.imread(str(tmp_path / '0.png'), cv2.IMREAD_UNCHANGED)
    assert np.abs(image / 256 - pred * 50).max() < .51 / 256
    with pytest.raises(ValueError, match='gt_depth_map is missing'):
        evaluate(samples, output_format='kitti_png', **options)


@pytest.mark.parametrize('arguments', [
    dict(alignment='median'), dict(crop='eigen'),
    dict(output_format='exr'), dict(min_depth=3., max_depth=3.)])
def test_arguments_are_checked(arguments):
    with pytest.raises(ValueError, match=f'AffineDepthMetric: '
                       f'{next(iter(arguments))} must be'):
        AffineDepthMetric(prefix='x', **arguments)
