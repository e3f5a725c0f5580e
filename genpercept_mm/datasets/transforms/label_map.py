"""mmseg's mapping of class ids, as a pure function."""
import numpy as np


def apply_label_map(label, label_map):
    """Replace class ids.

    Args:
        label (np.ndarray): (H, W) uint8.
        label_map (dict[int, int] | None): Old id to new id, from mmseg's
            ``BaseSegDataset``; ids it lacks stay. None changes nothing.

    Returns:
        np.ndarray: (H, W) uint8.
    """
    if label_map is None:
        return label
    table = np.arange(256, dtype=np.uint8)
    for old, new in label_map.items():
        table[old] = new
    return table[label]
