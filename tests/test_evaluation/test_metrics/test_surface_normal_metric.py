import math

import cv2
import numpy as np
import pytest
import torch

from genpercept_mm.evaluation import SurfaceNormalMetric

KEYS = ['mean', 'median', 'rmse', 'a5', 'a7.5', 'a11.25', 'a22.5', 'a30']


def scene(seed=0, size=(7, 9)):
    """Unit normals with holes, and the same turned a little."""
    rng = np.random.default_rng(seed)
    gt = rng.standard_normal((3, *size))
    gt /= np.linalg.norm(gt, axis=0)
    pred = gt + rng.random(size)**2 * rng.standard_normal((3, *size))
    pred /= np.linalg.norm(pred, axis=0)
    gt[:, rng.random(size) < .2] = 0
    return pred.astype(np.float32), gt.astype(np.float32)


def sample(pred, gt, index=0, mask=None):
    data = dict(img_path=f'{index}.png',
                pred_normal_map=dict(data=torch.from_numpy(pred)))
    if gt is not None:
        data['gt_normal_map'] = dict(data=torch.from_numpy(gt))
    if mask is not None:
        data['gt_normal_mask'] = dict(data=torch.from_numpy(mask)[None])
    return data


def evaluate(samples, **kwargs):
    metric = SurfaceNormalMetric(prefix='x', **kwargs)
    metric.process({}, samples)
    return {key[2:]: value
            for key, value in metric.evaluate(len(samples)).items()}


def angles(pred, gt, mask=None):
    """Pixel by pixel, by the law of cosines on the chord."""
    result = []
    for row in range(gt.shape[1]):
        for column in range(gt.shape[2]):
            p, g = (m[:, row, column].astype(float) for m in (pred, gt))
            if not g.any() or mask is not None and not mask[row, column]:
                continue
            p, g = p / math.sqrt(p @ p), g / math.sqrt(g @ g)
            half = math.sqrt(((p - g)**2).sum()) / 2
            result.append(math.degrees(2 * math.asin(min(half, 1))))
    return result


def numbers(errors):
    ordered = sorted(errors)
    n = len(ordered)
    result = dict(
        mean=sum(errors) / n,
        median=(ordered[(n - 1) // 2] + ordered[n // 2]) / 2,
        rmse=math.sqrt(sum(e * e for e in errors) / n))
    for limit in (5, 7.5, 11.25, 22.5, 30):
        result[f'a{limit:g}'] = 100 * sum(e < limit for e in errors) / n
    return result


def turned(degrees):
    """Label (0, 0, 1) and predictions that many degrees off it."""
    radians = np.radians(np.array(degrees, dtype=float))[None]
    pred = np.stack([np.sin(radians), 0 * radians, np.cos(radians)])
    return pred, np.stack([0 * radians, 0 * radians, 1 + 0 * radians])


def test_known_angles():
    result = SurfaceNormalMetric.calculate(*turned([1, 6, 10, 20, 90]))
    assert list(result) == KEYS
    assert result == pytest.approx(dict(zip(KEYS, (
        25.4, 10., math.sqrt((1 + 36 + 100 + 400 + 8100) / 5),
        20., 40., 60., 80., 80.))))


@pytest.mark.parametrize('seed', range(3))
def test_one_image_equals_brute_force(seed):
    pred, gt = scene(seed)
    mask = np.random.default_rng(seed).random(gt.shape[1:]) < .7
    errors = angles(pred, gt, mask)
    assert len(set(errors)) > 20
    # lengths do not matter
    assert SurfaceNormalMetric.calculate(
        3 * pred, .5 * gt, mask) == pytest.approx(
            numbers(errors), abs=1e-4)


@pytest.mark.parametrize('count', [3, 4])
def test_pixels_are_pooled_over_the_set(count):
    scenes = [scene(seed, (7, 4 + 5 * seed)) for seed in range(count)]
    errors = sum((angles(*item) for item in scenes), [])
    result = evaluate([sample(*item, i) for i, item in enumerate(scenes)])
    expected = numbers(errors)
    assert result.pop('median') == pytest.approx(
        expected.pop('median'), abs=.0051)
    assert result == pytest.approx(expected, abs=1e-4)


def test_the_median_of_an_even_number_lies_between_the_middle_two():
    pred, gt = turned([1, 2, 50, 60])
    assert evaluate([sample(pred, gt)])['median'] == pytest.approx(26)
    halves = [sample(pred[..., i:i + 2], gt[..., i:i + 2], i)
              for i in (0, 2)]
    assert evaluate(halves)['median'] == pytest.approx(26)


def test_images_can_be_averaged_instead():
    scenes = [scene(0, (3, 4)), scene(1, (9, 20))]
    separate = [numbers(angles(*item)) for item in scenes]
    samples = [sample(*item, i) for i, item in enumerate(scenes)]
    result = evaluate(samples, pooling='images')
    assert result == pytest.approx({
        key: (separate[0][key] + separate[1][key]) / 2 for key in KEYS},
        abs=1e-4)
    assert abs(result['mean'] - evaluate(samples)['mean']) > 1e-3


@pytest.mark.parametrize('pooling', ['pixels', 'images'])
def test_perfect_and_opposite(pooling):
    _, gt = scene()
    perfect = evaluate([sample(gt, gt)], pooling=pooling)
    assert perfect == pytest.approx(
        dict(zip(KEYS, [0.] * 3 + [100.] * 5)), abs=1e-5)
    opposite = evaluate([sample(-gt, gt)], pooling=pooling)
    assert opposite == pytest.approx(
        dict(zip(KEYS, [180.] * 3 + [0.] * 5)), abs=1e-5)


def test_thresholds():
    for limit in (5, 7.5, 11.25, 22.5, 30):
        pair = turned([limit - 1e-6, limit + 1e-6])
        assert SurfaceNormalMetric.calculate(*pair)[f'a{limit:g}'] == 50


def test_zero_predictions_are_a_right_angle_off():
    _, gt = scene()
    assert evaluate([sample(0 * gt, gt)])['mean'] == 90


def test_invalid_pixels():
    pred, gt = turned([5, 80])
    mask = np.array([[True, False]])
    assert evaluate([sample(pred, gt, mask=mask)])['mean'] == pytest.approx(5)
    gt[:, 0, 1] = 0
    empty = sample(pred, 0 * gt, 1)
    assert evaluate([sample(pred, gt), empty])['mean'] == pytest.approx(5)
    with pytest.raises(ValueError, match='nothing to evaluate, 1 image'):
        evaluate([empty])
    with pytest.raises(ValueError, match='no valid pixel'):
        SurfaceNormalMetric.calculate(pred, 0 * gt)


def test_what_is_kept_does_not_grow_with_the_image():
    metric = SurfaceNormalMetric(prefix='x')
    metric.process({}, [sample(*scene(size=(400, 500)))])
    entry = metric.results[0][1]
    kept = sum(np.asarray(value).nbytes for value in entry.values())
    assert kept < 108_200


@pytest.mark.parametrize('axes, wall, floor', [
    ('genpercept', (0, 0, 1), (0, 1, 0)),
    ('opencv', (0, 0, -1), (0, -1, 0)),
    ('dsine', (0, 0, 1), (0, 1, 0))])
@pytest.mark.parametrize('bits', [8, 16])
def test_files(tmp_path, axes, wall, floor, bits):
    # a wall that is seen from the front, the floor, a wall on the left
    pred = np.eye(3)[[2, 1, 0]].T.reshape(3, 1, 3).astype(np.float32)
    assert evaluate([sample(pred, None)], axes=axes, output_bits=bits,
                    output_dir=str(tmp_path), format_only=True) == {}
    image = cv2.imread(str(tmp_path / '0.png'), cv2.IMREAD_UNCHANGED)
    assert image.dtype == (np.uint8 if bits == 8 else np.uint16)
    normals = image[0, :, ::-1] / (2**bits - 1) * 2 - 1
    left = (-1, 0, 0) if axes == 'dsine' else (1, 0, 0)
    assert normals == pytest.approx(
        np.array([wall, floor, left]), abs=1.01 / (2**bits - 1))


@pytest.mark.parametrize('arguments', [
    dict(pooling='image'), dict(axes='opengl'), dict(output_bits=32)])
def test_arguments_are_checked(arguments):
    with pytest.raises(ValueError, match=f'{next(iter(arguments))} must be'):
        SurfaceNormalMetric(prefix='x', **arguments)
