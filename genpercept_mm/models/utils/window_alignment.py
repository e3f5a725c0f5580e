"""Align overlapping windows of an affine-invariant map to each other."""
import numpy as np

MAX_SAMPLES = 20000


def align_windows(windows, boxes):
    """Find a scale and a shift for each window, so that overlaps agree.

    Least squares over all overlapping pixels of all pairs at once; the
    window with the largest range keeps its values.

    Args:
        windows (Sequence[Tensor]): (C, h, w) each.
        boxes (Sequence[tuple[int]]): (top, bottom, left, right) of each in
            the image.

    Returns:
        np.ndarray: (K, 2), scale and shift of each of the K windows. One
        that would need a scale of 0 or less, or overlaps nothing, is only
        shifted or left as it is.
    """
    count = len(windows)
    anchor = int(np.argmax([float(w.max() - w.min()) for w in windows]))
    # normal equations of sum (s_i p_i + t_i - s_j p_j - t_j)^2
    gram = np.zeros((2 * count, 2 * count))
    pairs = []
    for i in range(count):
        for j in range(i):
            first, second = _overlap(windows[i], boxes[i], windows[j],
                                     boxes[j])
            if not len(first):
                continue
            ones = np.ones_like(first)
            columns = np.stack([first, ones, -second, -ones])
            indices = [2 * i, 2 * i + 1, 2 * j, 2 * j + 1]
            gram[np.ix_(indices, indices)] += columns @ columns.T
            pairs.append((i, j))
    affine = np.tile([1., 0.], (count, 1))
    free = [k for k in range(2 * count) if k // 2 != anchor]
    if not pairs or not free:
        return affine
    fixed = gram[np.ix_(free, [2 * anchor])][:, 0]
    solution = np.zeros(2 * count)
    solution[2 * anchor] = 1
    solution[free] = np.linalg.lstsq(
        gram[np.ix_(free, free)], -fixed, rcond=1e-10)[0]
    solved = solution.reshape(count, 2)
    touched = {k for pair in pairs for k in pair}
    for k in touched:
        if solved[k, 0] > 1e-3:
            affine[k] = solved[k]
    return affine


def blend_weights(size):
    """Weights of a window: one in its middle, small at its border.

    Args:
        size (tuple[int]): (h, w).

    Returns:
        np.ndarray: (h, w) float32, positive.
    """
    rows, columns = (
        1 - np.abs(np.linspace(-1, 1, length + 2)[1:-1]) for length in size)
    return np.outer(rows, columns).astype(np.float32)


def _overlap(first, first_box, second, second_box):
    top, left = (max(first_box[k], second_box[k]) for k in (0, 2))
    bottom, right = (min(first_box[k], second_box[k]) for k in (1, 3))
    if top >= bottom or left >= right:
        return np.zeros(0), np.zeros(0)
    values = []
    for window, box in ((first, first_box), (second, second_box)):
        shared = window[:, top - box[0]:bottom - box[0],
                        left - box[2]:right - box[2]]
        values.append(shared.detach().flatten().double().cpu().numpy())
    step = max(1, len(values[0]) // MAX_SAMPLES)
    return values[0][::step], values[1][::step]
