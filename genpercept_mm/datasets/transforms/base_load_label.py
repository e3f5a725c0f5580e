"""What the loaders of labels have in common."""
from abc import abstractmethod
from contextlib import contextmanager

from mmcv.transforms import BaseTransform


class BaseLoadLabel(BaseTransform):
    """Load a label, and put the class's name before errors of readers.

    A subclass sets ``LABEL`` and ``KEYS`` and implements `load`. The maps
    are added to the sample and to its ``seg_fields``. If the image is loaded,
    they must have its ``ori_shape``. An image that does not come from a data
    set passes without a label, so that the hosts' inferencers can use any
    test pipeline.

    Raises:
        OSError: If a file is missing or cannot be read.
        ValueError: If its content does not fit its format or the image.
    """

    #: Name of the label, for example ``'depth'``.
    LABEL = ''
    #: Keys that the data set must have provided.
    KEYS = ()

    @abstractmethod
    def load(self, results):
        """Return the maps of one sample: dict[str, np.ndarray]."""

    def transform(self, results):
        """Add the maps of one sample."""
        if not is_sample(results):
            return results
        with errors_named(type(self).__name__):
            require(results, self.LABEL, self.KEYS)
            maps = self.load(results)
        results.update(maps)
        results['seg_fields'].extend(maps)
        return results


def is_sample(results):
    """Tell a sample of a data set from an image alone, as mmseg's
    ``inference_model`` and ``MMSegInferencer`` give it to pipelines."""
    return 'seg_fields' in results


@contextmanager
def errors_named(owner):
    """Put the owner's name before readers' errors (FileNotFoundError, OSError
    or ValueError); a KeyError, from an HDF5 file, becomes a ValueError."""
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        kind = next((kind for kind in (FileNotFoundError, OSError)
                     if isinstance(error, kind)), ValueError)
        # str() of a KeyError quotes its message
        message = error.args[0] if isinstance(error, KeyError) else error
        raise kind(f'{owner}: {message}') from error


def require(results, label, keys):
    """Raise a ValueError if a sample lacks keys that a label needs."""
    missing = [key for key in keys if key not in results]
    if missing:
        raise ValueError(
            f'the sample {results.get("img_path")} lacks {missing}; add '
            f'{label!r} to the labels of its data set, or remove the '
            'transform from the pipeline.')


def read_format(results, label, readers):
    """Read ``<label>_path`` with the reader of ``<label>_format``."""
    kind = results[f'{label}_format']
    if kind not in readers:
        raise ValueError(
            f'{label}_format must be one of {tuple(readers)}, got {kind!r}; '
            'change what the data set says about '
            f'{results[f"{label}_path"]}.')
    return readers[kind](results)


def apply_label_map(label, label_map):
    """Replace class ids by ``label_map`` (dict[int, int] | None), from mmseg's
    ``BaseSegDataset``; ids that are not in it stay."""
    if label_map is None:
        return label
    mapped = label.copy()
    for old, new in label_map.items():
        mapped[label == old] = new
    return mapped
