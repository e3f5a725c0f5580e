"""Values that load anywhere."""
import os
from collections import deque

import numpy as np


def to_plain(value):
    """Turn nested containers into dicts and lists, and arrays into lists.

    Mappings (for example a ``ConfigDict``), sequences, arrays, tensors and
    their scalars become dicts, lists and Python numbers; other values stay.
    Checkpoints with only these load with ``torch.load(weights_only=True)``.
    """
    if isinstance(value, dict):
        return {key.tolist() if hasattr(key, 'tolist') else key:
                to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value.tolist() if hasattr(value, 'tolist') else value


def to_storable(value, report=None):
    """Turn nested containers into what a checkpoint may hold.

    Mappings become dicts, other containers and arrays lists, scalars Python
    numbers, and paths text. What else is no number, text or tensor becomes its
    text, for which ``report`` is called with the value.
    """
    if value is None or isinstance(value, (str, bytes)):
        return value
    if isinstance(value, dict):
        return {to_storable(key, report): to_storable(item, report)
                for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(to_storable(item, report) for item in value)
    if isinstance(value, (list, set, frozenset, deque, range)):
        return [to_storable(item, report) for item in value]
    if hasattr(value, 'item') and getattr(value, 'ndim', None) == 0:
        return value.item()
    if isinstance(value, np.ndarray):
        return to_storable(value.tolist(), report)
    if isinstance(value, (bool, int, float, complex)) or hasattr(
            value, 'untyped_storage'):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if report is not None:
        report(value)
    return str(value)
