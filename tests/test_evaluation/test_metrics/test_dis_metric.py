import sys
import warnings

import cv2
import numpy as np
import pytest
import torch

from genpercept_mm.evaluation import DISMetric

sod = pytest.importorskip('py_sod_metrics')


def scene(seed=0, size=(60, 80)):
    """8-bit label of ellipses, and a blurred, displaced 8-bit prediction."""
    rng = np.random.default_rng(seed)
    gt = np.zeros(size, np.uint8)
    for _ in range(3):
        centre = rng.integers(15, 45, 2).tolist()
        axes = rng.integers(5, 20, 2).tolist()
        cv2.ellipse(gt, centre, axes, float(rng.integers(180)), 0, 360, 255,
                    -1)
    pred = np.roll(gt, rng.integers(1, 6, 2), (0, 1))
    pred[rng.random(size) < .02] = 90
    # neither black nor white is reached, so that stretching matters
    pred = cv2.GaussianBlur(pred, (7, 7), 2) * (.6 + .3 * rng.random())
    return pred.astype(np.uint8) + np.uint8(5), gt


def sample(pred, gt, index=0):
    data = dict(img_path=f'{index}.png', pred_alpha_map=dict(
        data=torch.from_numpy(pred.astype(np.float32) / 255)[None]))
    if gt is not None:
        data['gt_alpha_map'] = dict(
            data=torch.from_numpy(gt.astype(np.float32) / 255)[None])
    return data


def evaluate(samples, **kwargs):
    metric = DISMetric(prefix='x', **kwargs)
    metric.process({}, samples)
    return {key[2:]: value
            for key, value in metric.evaluate(len(samples)).items()}


def test_equals_pysodmetrics_over_a_set():
    scenes = [scene(seed, (60 + 5 * seed, 80)) for seed in range(4)]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        measures = [sod.Fmeasure(beta=.3), sod.WeightedFmeasure(), sod.MAE(),
                    sod.Smeasure(), sod.Emeasure(),
                    sod.HumanCorrectionEffortMeasure()]
    for pred, gt in scenes:
        for measure in measures:
            measure.step(pred=pred, gt=gt)
    f, weighted, mae, s, e, hce = (m.get_results() for m in measures)
    expected = dict(
        max_f=f['fm']['curve'].max(), weighted_f=weighted['wfm'],
        mae=mae['mae'], s_alpha=s['sm'], mean_e=e['em']['curve'].mean(),
        hce=hce['hce'])
    assert expected['hce'] > 1 and .3 < expected['max_f'] < .99
    samples = [sample(*item, i) for i, item in enumerate(scenes)]
    assert evaluate(samples) == pytest.approx(expected, rel=1e-12)
    expected.pop('hce')
    assert evaluate(samples, with_hce=False) == pytest.approx(
        expected, rel=1e-12)


def f_curve(pred, gt):
    """F at thresholds 0..255, pixel sets counted one by one."""
    span = int(pred.max()) - int(pred.min())
    levels = [int((v / 255 - pred.min() / 255) / (span / 255) * 255)
              for v in pred.ravel().astype(float)]
    truth = (gt.ravel() > 128).tolist()
    curve = []
    for threshold in range(256):
        chosen = [t for v, t in zip(levels, truth) if v >= threshold]
        hits = sum(chosen)
        precision = hits / max(len(chosen), 1)
        recall = hits / sum(truth)
        curve.append(1.3 * precision * recall / (.3 * precision + recall)
                     if hits else 0.)
    return np.array(curve)


def test_the_best_threshold_is_that_of_the_set():
    # the first image wants a low threshold, the second a high one
    gt = np.zeros((4, 5), np.uint8)
    gt[:2] = 255
    low, high = gt // 8, gt.copy()
    low[0, 0], low[3] = 255, 10
    high[2:], high[3, 4] = 200, 0
    curves = [f_curve(pred, gt) for pred in (low, high)]
    result = evaluate([sample(low, gt), sample(high, gt, 1)],
                      with_hce=False)
    assert result['max_f'] == pytest.approx(np.mean(curves, 0).max())
    separate = [DISMetric.calculate(
        *(m / 255 for m in (pred, gt)), with_hce=False)['max_f']
        for pred in (low, high)]
    assert separate == pytest.approx([curve.max() for curve in curves])
    assert np.mean(separate) > result['max_f'] + .05


def test_mean_absolute_error_after_stretching():
    pred = np.array([[50, 100], [150, 150]], np.uint8)
    gt = np.array([[0, 0], [255, 255]], np.uint8)
    assert evaluate([sample(pred, gt)], with_hce=False)[
        'mae'] == pytest.approx(.5 / 4)


def test_perfect_prediction():
    _, gt = scene()
    # at threshold 0 all is object, which is a quarter right by definition;
    # and the sum over N pixels is divided by N - 1
    mean_e = (255 + .25) / 256 * gt.size / (gt.size - 1)
    assert evaluate([sample(gt, gt)]) == pytest.approx(dict(
        max_f=1., weighted_f=1., mae=0., s_alpha=1., mean_e=mean_e, hce=0.),
        abs=1e-9)


@pytest.mark.parametrize('rows, columns', [
    (slice(-1, None), slice(None)), (slice(None), slice(-1, None)),
    (slice(-1, None), slice(-1, None))])
def test_objects_at_the_edge_have_finite_numbers(rows, columns):
    """Stock PySODMetrics averages over the pixels beyond them."""
    gt = np.zeros((8, 9), np.uint8)
    gt[rows, columns] = 255
    stock = sod.Smeasure(alpha=.5)
    with np.errstate(all='ignore'):
        stock.step(gt, gt)
    assert np.isnan(stock.get_results()['sm'])
    result = evaluate([sample(gt, gt)], with_hce=False)
    assert result['s_alpha'] == pytest.approx(1)
    assert result['mae'] == 0 and np.isfinite(list(result.values())).all()


def test_label_value_128_is_background():
    pred = np.array([[0, 255]], np.uint8)
    for value, error in ((128, 0.), (129, .5)):
        gt = np.array([[value, 255]], np.uint8)
        result = DISMetric.calculate(pred / 255, gt / 255, with_hce=False)
        assert result['mae'] == error


def test_files_are_as_evaluated(tmp_path):
    pred, _ = scene()
    assert evaluate([sample(pred, None)], output_dir=str(tmp_path),
                    format_only=True) == {}
    image = cv2.imread(str(tmp_path / '0.png'), cv2.IMREAD_UNCHANGED)
    assert image.dtype == np.uint8 and (image == pred).all()


def test_masks_are_refused():
    data = sample(*scene())
    mask = torch.ones(1, 60, 80, dtype=torch.bool)
    mask[0, 0, 0] = False
    data['gt_alpha_mask'] = dict(data=mask)
    with pytest.raises(ValueError, match='DISMetric: measures whole images'):
        evaluate([data])


def test_missing_package_is_named_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, 'py_sod_metrics', None)
    with pytest.raises(ImportError, match='no-deps pysodmetrics'):
        DISMetric(prefix='x')
