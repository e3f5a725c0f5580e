"""Align overlapping windows of an affine-invariant map to each other."""
import numpy as np
import torch

MAX_SAMPLES = 20000
# Smaller standard deviations say nothing about the scale
FLAT = 1e-6
# Overlaps that agree less than this say nothing either, nor do those that vary
# by a smaller share of their window's range, unless they agree entirely: on a
# plane wall, what varies is the error of the network
CORRELATED, SHARE, SAME = .7, .02, .95


def align_windows(windows, boxes):
    """Find a scale and a shift for each window, so that overlaps agree.

    The scales come first, by least squares on the logarithms of the ratios of
    standard deviations in the overlaps, then the shifts, by least squares on
    the differences of means. A joint fit of both would favour small scales
    wherever windows disagree, more with each further window. The window with
    the largest range keeps its values.

    ``windows`` are K tensors (C, h, w), and ``boxes`` their (top, bottom,
    left, right) in the image. Returns an array (K, 2) with the scale and shift
    of each window. Scales are positive; windows that are flat or have little
    in common with others where they overlap are only shifted; one that
    overlaps nothing stays as it is.
    """
    windows = _to_cpu(windows)
    count = len(windows)
    ranges = [float(w.max() - w.min()) for w in windows]
    anchor = int(np.argmax(ranges))
    overlaps = [(i, j, *_overlap(windows[i], boxes[i], windows[j], boxes[j]))
                for i in range(count) for j in range(i)]
    overlaps = [overlap for overlap in overlaps if len(overlap[2])]
    ratios = []
    for i, j, first, second in overlaps:
        spreads = first.std(), second.std()
        if min(spreads) < FLAT:
            continue
        correlation = np.mean((first - first.mean()) * (
            second - second.mean())) / (spreads[0] * spreads[1])
        share = min(spreads[0] / ranges[i], spreads[1] / ranges[j])
        if correlation > (CORRELATED if share > SHARE else SAME):
            ratios.append((i, j, len(first) * correlation**2,
                           np.log(spreads[1] / spreads[0])))
    scales = np.exp(_solve_differences(count, anchor, ratios))
    shifts = _solve_differences(count, anchor, [
        (i, j, len(first), scales[j] * second.mean()
         - scales[i] * first.mean()) for i, j, first, second in overlaps])
    return np.stack([scales, shifts], axis=1)


def _solve_differences(count, anchor, pairs):
    """Solve for x, (count, ), by least squares on differences of its entries.

    A pair (i, j, weight, difference) asks for x_i - x_j = difference. x is 0
    at the anchor and at every index that is in no pair.
    """
    normal, right = np.zeros((count, count)), np.zeros(count)
    for i, j, weight, difference in pairs:
        normal[[i, j], [i, j]] += weight
        normal[[i, j], [j, i]] -= weight
        right[i] += weight * difference
        right[j] -= weight * difference
    free = np.arange(count) != anchor
    solution = np.zeros(count)
    solution[free] = np.linalg.lstsq(
        normal[np.ix_(free, free)], right[free], rcond=1e-10)[0]
    return solution


def blend_weights(size):
    """Return weights (h, w), float32, for the pixels of a window of this size:
    about 1 in the middle and small, but positive, at the border."""
    rows, columns = (
        1 - np.abs(np.linspace(-1, 1, length + 2)[1:-1]) for length in size)
    return np.outer(rows, columns).astype(np.float32)


def _to_cpu(windows):
    """Copy tensors of any shapes to the CPU at once: each copy would wait for
    the device."""
    values = torch.cat([window.detach().flatten() for window in windows]).cpu()
    return [part.view(window.shape) for part, window in zip(
        values.split([window.numel() for window in windows]), windows)]


def _overlap(first, first_box, second, second_box):
    top, left = (max(first_box[k], second_box[k]) for k in (0, 2))
    bottom, right = (min(first_box[k], second_box[k]) for k in (1, 3))
    if top >= bottom or left >= right:
        return np.zeros(0), np.zeros(0)
    values = []
    for window, box in ((first, first_box), (second, second_box)):
        shared = window[:, top - box[0]:bottom - box[0],
                        left - box[2]:right - box[2]]
        values.append(shared.flatten().double().numpy())
    step = max(1, len(values[0]) // MAX_SAMPLES)
    return values[0][::step], values[1][::step]
