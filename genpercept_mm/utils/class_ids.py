"""Class ids of label maps."""
import numpy as np


def check_ids(owner, label, num_classes, path, ignore_index=255):
    """Raise a ValueError if a label holds ids that are not classes.

    Args:
        owner (str): Class to name in the error.
        label (np.ndarray): Integers of any shape: 0 to ``num_classes - 1``,
            or ``ignore_index``.
        num_classes (int): Number of classes.
        path (str): File of the label, for the error.
        ignore_index (int): Id of pixels that do not count. Defaults to 255.

    Returns:
        list[int]: The ids of the label, in ascending order.
    """
    label = np.asarray(label).ravel()
    if label.size and 0 <= label.min() <= label.max() < 2**16:
        ids = np.flatnonzero(np.bincount(label.astype(np.int64)))
    else:  # slower
        ids = np.unique(label)
    wrong = ids[((ids < 0) | (ids >= num_classes)) & (ids != ignore_index)]
    if not wrong.size:
        return ids.tolist()
    raise ValueError(
        f'{owner}: the label {path} holds the ids {wrong[:5].tolist()}; there '
        f'are {num_classes} classes, so ids are 0..{num_classes - 1}, or '
        f'{ignore_index} for pixels to ignore. Set classes and '
        'num_classes to those of the labels, or give '
        'genpercept_mm.LoadSegLabel a label_map from these ids to yours.')
