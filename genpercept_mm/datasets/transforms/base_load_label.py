"""What the loaders of labels have in common."""
from abc import abstractmethod
from contextlib import contextmanager

import numpy as np
from mmcv.transforms import BaseTransform


class BaseLoadLabel(BaseTransform):
    """Load a label, and put the class's name before errors of readers.

    A subclass sets ``LABEL`` and ``KEYS`` and implements `load`. The maps
    are added to the sample and to its ``seg_fields``.
    """

    #: Name of the label, for example ``'depth'``.
    LABEL = ''
    #: Keys that the data set must have provided.
    KEYS = ()

    @abstractmethod
    def load(self, results):
        """Load the maps of one sample.

        Args:
            results (dict): See the class.

        Returns:
            dict[str, np.ndarray]: The added keys.
        """

    def transform(self, results):
        """Load the label of one sample.

        Args:
            results (dict): See the class.

        Returns:
            dict: The same, with the added keys.
        """
        with errors_named(type(self).__name__):
            require(results, self.LABEL, self.KEYS)
            maps = self.load(results)
        results.update(maps)
        results['seg_fields'].extend(maps)
        return results


@contextmanager
def errors_named(owner):
    """Put a name before the errors of pure readers.

    Args:
        owner (str): Class name of the loader.

    Raises:
        FileNotFoundError: If a file does not exist.
        OSError: If a file cannot be read.
        ValueError: If the content does not fit, which includes a missing
            key of an HDF5 file.
    """
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        kind = next((kind for kind in (FileNotFoundError, OSError)
                     if isinstance(error, kind)), ValueError)
        # str() of a KeyError quotes its message
        message = error.args[0] if isinstance(error, KeyError) else error
        raise kind(f'{owner}: {message}') from error


def require(results, label, keys):
    """Check that the data set lists a label.

    Args:
        results (dict): The sample.
        label (str): For example ``'depth'``.
        keys (Sequence[str]): The keys that its loader needs.

    Raises:
        ValueError: If a key is missing.
    """
    missing = [key for key in keys if key not in results]
    if missing:
        raise ValueError(
            f'the sample {results.get("img_path")} lacks {missing}; add '
            f'{label!r} to the labels of its data set, or remove the '
            'transform from the pipeline.')


def read_format(results, label, readers):
    """Read a label with the reader of its format.

    Args:
        results (dict): The sample, with ``<label>_format`` and
            ``<label>_path``.
        label (str): For example ``'depth'``.
        readers (dict[str, callable]): Reader by format.

    Returns:
        np.ndarray: What the reader returns.

    Raises:
        ValueError: If there is no reader of this format.
    """
    kind = results[f'{label}_format']
    if kind not in readers:
        raise ValueError(
            f'{label}_format must be one of {tuple(readers)}, got {kind!r}; '
            'change what the data set says about '
            f'{results[f"{label}_path"]}.')
    return readers[kind](results)


def apply_label_map(label, label_map):
    """Replace class ids as mmseg does.

    Args:
        label (np.ndarray): (H, W) uint8.
        label_map (dict[int, int] | None): Old id to new id, from mmseg's
            ``BaseSegDataset``; other ids stay. None changes nothing.

    Returns:
        np.ndarray: (H, W) uint8.
    """
    if label_map is None:
        return label
    table = np.arange(256, dtype=np.uint8)
    for old, new in label_map.items():
        table[old] = new
    return table[label]
