"""Errors of label loaders, said the same way by all of them."""
from contextlib import contextmanager


@contextmanager
def errors_named(owner):
    """Put the loader's name before the errors of pure readers.

    Args:
        owner (str): Class name of the loader.

    Raises:
        FileNotFoundError: For a missing file.
        OSError: For a file that cannot be read.
        ValueError: For content that does not fit, a missing key of an HDF5
            file included.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{owner}: {error}') from error
    except OSError as error:
        raise OSError(f'{owner}: {error}') from error
    except KeyError as error:
        # str() of a KeyError quotes its message
        raise ValueError(f'{owner}: {error.args[0]}') from error
    except ValueError as error:
        raise ValueError(f'{owner}: {error}') from error


def require(results, label, keys):
    """Check that the data set listed a label.

    Args:
        results (dict): The sample.
        label (str): For example ``'depth'``.
        keys (Sequence[str]): What its loader needs.

    Raises:
        ValueError: If a key is missing.
    """
    missing = [key for key in keys if key not in results]
    if missing:
        raise ValueError(
            f'the sample {results.get("img_path")} lacks {missing}; add '
            f'{label!r} to the labels of its data set, or remove the '
            'transform from the pipeline.')
