import math
from collections import deque

import cv2
import numpy as np
import pytest
import torch

from genpercept_mm.evaluation import MattingMetric


def scene(seed=0, size=(30, 37)):
    """Two soft 8-bit mattes that overlap in several regions."""
    rng = np.random.default_rng(seed)

    def soft(sigma):
        noise = cv2.GaussianBlur(rng.standard_normal(size), (0, 0), sigma)
        return (noise - noise.min()) / (noise.max() - noise.min())

    gt = np.clip(2 * soft(3) - .5, 0, 1)
    pred = np.clip(gt + .6 * (soft(2) - .5), 0, 1)
    return [np.rint(255 * m).astype(np.uint8) for m in (pred, gt)]


def calculate(pred, gt, **kwargs):
    return MattingMetric.calculate(pred / 255, gt / 255, **kwargs)


def sample(pred, gt, index=0):
    data = dict(img_path=f'{index}.png', pred_alpha_map=dict(
        data=torch.from_numpy(pred.astype(np.float32) / 255)[None]))
    if gt is not None:
        data['gt_alpha_map'] = dict(
            data=torch.from_numpy(gt.astype(np.float32) / 255)[None])
    return data


def evaluate(samples, **kwargs):
    metric = MattingMetric(prefix='x', **kwargs)
    metric.process({}, samples)
    return {key[2:]: value
            for key, value in metric.evaluate(len(samples)).items()}


def largest_region(mask):
    """Find it by flood fill; among equals, take the first in reading order."""
    best, seen = set(), set()
    for start in zip(*np.nonzero(mask)):
        if start in seen:
            continue
        region, queue = {start}, deque([start])
        while queue:
            row, column = queue.popleft()
            for near in ((row - 1, column), (row + 1, column),
                         (row, column - 1), (row, column + 1)):
                if near not in region and all(
                        0 <= i < n for i, n in zip(near, mask.shape)
                ) and mask[near]:
                    region.add(near)
                    queue.append(near)
        seen |= region
        if len(region) > len(best):
            best = region
    return best


def connectivity(pred, gt):
    pred, gt = pred / 255, gt / 255
    level = {}
    for step in range(1, 11):
        region = largest_region((pred >= step / 10) & (gt >= step / 10))
        if not region:
            continue
        for pixel in np.ndindex(gt.shape):
            if pixel not in region:
                level.setdefault(pixel, (step - 1) / 10)
    total = 0.
    for pixel in np.ndindex(gt.shape):
        phi = []
        for alpha in (pred[pixel], gt[pixel]):
            above = alpha - level.get(pixel, 1.)
            phi.append(1 - above if above >= .15 else 1.)
        total += abs(phi[0] - phi[1])
    return total / 1000


def gradient(pred, gt, radius, padding, unit_length, divisor):
    """Explicit kernels, pixel by pixel."""
    sigma = 1.4
    steps = np.arange(-radius, radius + 1)
    smooth = np.exp(-steps**2 / (2 * sigma**2))
    smooth /= smooth.sum()
    kernel = np.outer(-steps / sigma**2 * smooth, smooth)
    if unit_length:
        kernel /= math.sqrt((kernel**2).sum())
    lengths = []
    for alpha in (pred / 255, gt / 255):
        padded = np.pad(alpha, radius, padding)
        length = np.zeros(alpha.shape)
        for row, column in np.ndindex(alpha.shape):
            window = padded[row:row + len(steps), column:column + len(steps)]
            length[row, column] = math.hypot(
                (window * kernel).sum(), (window * kernel.T).sum())
        lengths.append(length)
    return ((lengths[0] - lengths[1])**2).sum() / divisor


def test_half_everywhere_on_nothing():
    """Exactly a half of 255, and what 8 bits make of it."""
    pred, gt = np.full((10, 10), 127.5), np.zeros((10, 10))
    exact = calculate(pred, gt, quantize=False)
    assert [exact[key] for key in ('sad', 'mad', 'mse')] == pytest.approx(
        [.05, .5, .25])
    assert calculate(pred, gt)['mad'] == pytest.approx(127 / 255)


@pytest.mark.parametrize('seed', range(3))
def test_equals_mmeval(seed):
    """On floats (its SAD of bytes wraps around), with nothing known, and
    with its gradient, whose kernels have unit length. Its CONN treats levels
    that no region reaches otherwise; opaque pixels in both leave none."""
    mmeval = pytest.importorskip('mmeval')
    pred, gt = scene(seed)
    pred[:3, :3] = gt[:3, :3] = 255
    ours = calculate(pred, gt, classical_grad=True)
    maps = [pred / 255], [gt / 255]
    unknown = [np.full(gt.shape, 128, np.uint8)]
    expected = {
        **mmeval.SumAbsoluteDifferences()(*maps),
        **mmeval.MattingMeanSquaredError()(*maps, unknown),
        **mmeval.GradientError()(*maps, unknown),
        **mmeval.ConnectivityError()(*maps, unknown)}
    assert sorted(expected) == [
        'connectivity_error', 'gradient_error', 'matting_mse', 'sad']
    for name, key in (('connectivity_error', 'conn'), ('sad', 'sad'),
                      ('gradient_error', 'grad'), ('matting_mse', 'mse')):
        assert ours[key] == pytest.approx(expected[name], rel=1e-6), name


def test_worked_numbers():
    # differences of 51 / 255 = 0.2 and 102 / 255 = 0.4 in 2 x 2 pixels
    pred = np.array([[51, 0], [255, 153]], np.uint8)
    gt = np.array([[0, 0], [255, 255]], np.uint8)
    result = calculate(pred, gt)
    assert list(result) == ['sad', 'mad', 'mse', 'grad', 'conn']
    assert result['sad'] == pytest.approx(.6 / 1000)
    assert result['mad'] == pytest.approx(.6 / 4)
    assert result['mse'] == pytest.approx((.04 + .16) / 4)


@pytest.mark.parametrize('seed', range(3))
def test_connectivity_equals_flood_fill(seed):
    pred, gt = scene(seed)
    # 0.6 in floating point is a matter of spelling; see the next test
    pred[pred == 153], gt[gt == 153] = 152, 152
    expected = connectivity(pred, gt)
    assert expected > .001
    assert calculate(pred, gt)['conn'] == pytest.approx(expected, rel=1e-9)


def test_connectivity_by_hand():
    # of two regions of both mattes the smaller has level 0, so that all of
    # its alpha is unconnected; the difference there is 0.4
    gt = np.zeros((1, 6), np.uint8)
    gt[0, :3], gt[0, 5] = 255, 255
    pred = gt.copy()
    pred[0, 5] = 153
    assert calculate(pred, gt)['conn'] == pytest.approx(.4 / 1000)
    # corners do not connect
    gt = np.zeros((4, 4), np.uint8)
    gt[0, :3], gt[1, 3] = 255, 255
    pred = gt.copy()
    pred[1, 3] = 204
    assert calculate(pred, gt)['conn'] == pytest.approx(.2 / 1000)
    # edges do, so that the pixel leaves the region at its own level
    gt[1, 2], pred[1, 2] = 255, 255
    assert calculate(pred, gt)['conn'] == pytest.approx(.2 / 1000)


def test_levels_that_no_region_reaches_are_skipped():
    _, gt = scene()
    empty = calculate(0 * gt, gt)
    assert empty['conn'] == 0
    assert empty['sad'] == pytest.approx(gt.sum() / 255 / 1000)


def test_level_of_six_tenths_is_above_153():
    # as np.arange(0, 1.1, 0.1) has it: 0.6000000000000001
    gt = np.array([[255, 255, 153, 153]], np.uint8)
    pred = np.array([[255, 255, 153, 255]], np.uint8)
    # level 0.5: above it are 0.1 (nothing) and 0.5
    assert calculate(pred, gt)['conn'] == pytest.approx(.5 / 1000)


@pytest.mark.parametrize('seed', range(2))
def test_gradient_equals_explicit_kernels(seed):
    pred, gt = scene(seed)
    # scipy cuts at four sigma and mirrors
    expected = gradient(pred, gt, 6, 'symmetric', False, 10)
    assert expected > .001
    assert calculate(pred, gt)['grad'] == pytest.approx(expected, rel=1e-9)
    toolbox = gradient(pred, gt, 4, 'edge', True, 1000)
    assert calculate(pred, gt, classical_grad=True)[
        'grad'] == pytest.approx(toolbox, rel=1e-9)
    assert toolbox == pytest.approx(expected, rel=.1)


def test_predictions_are_quantized_unless_told_otherwise():
    gt = np.full((3, 4), 51, np.uint8)
    pred = np.full((3, 4), 60.9)
    assert calculate(pred, gt)['mad'] == pytest.approx(9 / 255)
    assert calculate(pred, gt, quantize=False)['mad'] == pytest.approx(
        9.9 / 255)
    assert calculate(np.full((3, 4), 300.), gt, quantize=False)[
        'mad'] == pytest.approx(204 / 255)


def test_perfect_prediction():
    _, gt = scene()
    assert set(evaluate([sample(gt, gt)]).values()) == {0.}


def test_mean_over_images_and_options():
    scenes = [scene(0), scene(1, (20, 50))]
    samples = [sample(*item, i) for i, item in enumerate(scenes)]
    for options in ({}, dict(classical_grad=True), dict(quantize=False)):
        separate = [calculate(*item, **options) for item in scenes]
        # float32 of the samples is off by rounding without quantizing
        assert evaluate(samples, **options) == pytest.approx({
            key: (separate[0][key] + separate[1][key]) / 2
            for key in separate[0]}, rel=1e-4)


def test_files_are_as_evaluated(tmp_path):
    pred, _ = scene()
    assert evaluate([sample(pred, None)], output_dir=str(tmp_path),
                    format_only=True) == {}
    image = cv2.imread(str(tmp_path / '0.png'), cv2.IMREAD_UNCHANGED)
    assert image.dtype == np.uint8 and (image == pred).all()


def test_masks_are_refused():
    data = sample(*scene())
    data['gt_alpha_mask'] = dict(data=torch.eye(37)[None, :30] == 0)
    with pytest.raises(ValueError, match='MattingMetric: measures whole'):
        evaluate([data])
