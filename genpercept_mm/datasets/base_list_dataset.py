"""Benchmarks whose samples are named in a list file."""
import os.path as osp

from .base_dense_dataset import BaseDenseDataset
from .io.file_listing import read_lines, split_columns


class BaseListDataset(BaseDenseDataset):
    """Read the list files that Marigold and GenPercept evaluate with.

    A line names the files of a sample, relative to ``data_root``: first the
    image, then the other ``COLUMNS``. Further columns are ignored. Columns are
    separated by blanks; names with blanks are in double quotes, or all columns
    are separated by tabs. Lines that begin with ``#`` are comments. The lists
    are in the folder ``data_split`` of GenPercept's repository; ``LIST`` is
    the path there.

    Args:
        labels (str | Sequence[str], optional): See `BaseDenseDataset`.
        data_root (str, optional): See `BaseDenseDataset`.
        ann_file (str, optional): See `BaseDenseDataset`.
        data_prefix (dict[str, str], optional): Folders of single columns that
            are not in ``data_root``, for example
            ``dict(depth_path='../annotated/val')``.
        **kwargs: Arguments of `BaseDenseDataset`.

    Raises:
        FileNotFoundError: If the folder, the list or a listed file is missing.
        ValueError: If a line lacks columns, or ``data_prefix`` names an
            unknown one.
    """

    #: Keys of the columns of a line.
    COLUMNS = ('img_path', 'depth_path')
    #: What every sample says about its format.
    FACTS = dict()
    _UNUSED = frozenset(['filter_cfg'])

    def __init__(self, labels=None, data_root=None, ann_file=None,
                 data_prefix=None, **kwargs):
        data_prefix = data_prefix or {}
        self._choices('keys of data_prefix', data_prefix, self.COLUMNS)
        super().__init__(
            labels, data_root, ann_file, data_prefix=data_prefix, **kwargs)

    def list_samples(self, listing):
        """See `BaseDenseDataset.list_samples`."""
        name = type(self).__name__
        if not osp.isfile(self.ann_file):
            raise FileNotFoundError(
                f'{name}: the list {self.ann_file!r} does not exist; it is '
                f'{self.LIST} of the GenPercept repository. Copy it there, '
                f'or set ann_file; {self.TREE}')
        for number, line in read_lines(self.ann_file):
            place = f'{name}: line {number} of {self.ann_file}, {line!r},'
            try:
                parts = split_columns(line)
            except ValueError as error:
                raise ValueError(f'{place} cannot be read: {error}.'
                                 ) from error
            if len(parts) < len(self.COLUMNS):
                raise ValueError(
                    f'{place} has {len(parts)} column(s); expected '
                    f'{len(self.COLUMNS)}: {", ".join(self.COLUMNS)}.')
            paths = dict(zip(self.COLUMNS, parts))
            # KITTI marks a frame without depth this way
            if 'None' in paths.values():
                continue
            for column, path in paths.items():
                paths[column] = self._path(column, path)
            yield dict(
                sample_name=osp.splitext(parts[0])[0], **paths, **self.FACTS)

    def _path(self, column, name):
        return osp.join(self.data_prefix.get(column, self.data_root), name)

    def describe(self, path):
        """See `BaseDenseDataset.describe`."""
        for number, line in read_lines(self.ann_file):
            parts = split_columns(line)
            if path in map(self._path, self.COLUMNS, parts):
                hint = ('; names with blanks must be in double quotes'
                        if len(parts) > len(self.COLUMNS) else '')
                return f'{path} (line {number} of {self.ann_file}{hint})'
        return path
