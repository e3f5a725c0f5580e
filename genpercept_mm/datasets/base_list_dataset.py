"""Benchmarks whose samples are named in a list file."""
import os.path as osp

from genpercept_mm.utils.arguments import check_choice

from .base_dense_dataset import BaseDenseDataset
from .io.file_listing import read_lines


class BaseListDataset(BaseDenseDataset):
    """Read the list files that Marigold and GenPercept evaluate with.

    A line names the files of a sample, separated by blanks and relative to
    ``data_root``: first the image, then the other ``COLUMNS``. Further
    columns are ignored. The lists are in the folder ``data_split`` of
    GenPercept's repository.

    Args:
        labels (str | Sequence[str], optional): The labels to list, from
            ``LABELS``. Defaults to None, the first of ``LABELS``.
        data_root (str, optional): Folder that the list's paths are relative
            to. Defaults to None, which takes ``DATA_ROOT``.
        ann_file (str, optional): The list, absolute or relative to
            ``data_root``. Defaults to None, the file name of ``LIST``.
        data_prefix (dict[str, str], optional): Folders of single columns
            that are not in ``data_root``, for example
            ``dict(depth_path='../annotated/val')``. Defaults to None.
        **kwargs: Arguments of `BaseDenseDataset`.

    Raises:
        FileNotFoundError: If the folder, the list or listed files do not
            exist.
        ValueError: If a line lacks columns, or ``data_prefix`` names an
            unknown one.
    """

    #: Default of ``data_root``.
    DATA_ROOT = ''
    #: Keys of the columns of a line.
    COLUMNS = ('img_path', 'depth_path')
    #: The list in GenPercept's repository.
    LIST = ''
    #: What every sample says about its format.
    FACTS = dict()

    def __init__(self,
                 labels=None,
                 data_root=None,
                 ann_file=None,
                 data_prefix=None,
                 **kwargs):
        data_root = self.DATA_ROOT if data_root is None else data_root
        data_prefix = data_prefix or {}
        for column in data_prefix:
            check_choice(
                type(self).__name__, 'keys of data_prefix', column,
                self.COLUMNS)
        self.prefixes = {
            column: osp.join(data_root, data_prefix.get(column, ''))
            for column in self.COLUMNS}
        if ann_file is None:
            ann_file = osp.basename(self.LIST)
        super().__init__(
            labels=labels, data_root=data_root, ann_file=ann_file, **kwargs)

    def list_samples(self, listing):
        """See `BaseDenseDataset.list_samples`."""
        name = type(self).__name__
        if not osp.isfile(self.ann_file):
            raise FileNotFoundError(
                f'{name}: the list {self.ann_file!r} does not exist; it is '
                f'{self.LIST} of the GenPercept repository. Copy it there, '
                f'or set ann_file; {self.TREE}')
        for number, line in read_lines(self.ann_file):
            parts = line.split()
            if len(parts) < len(self.COLUMNS):
                raise ValueError(
                    f'{name}: line {number} of {self.ann_file} has '
                    f'{len(parts)} column(s), {line!r}; expected '
                    f'{len(self.COLUMNS)}: {", ".join(self.COLUMNS)}.')
            # KITTI marks a frame without depth this way
            if 'None' in parts[:len(self.COLUMNS)]:
                continue
            yield dict(
                sample_name=osp.splitext(parts[0])[0],
                **{
                    column: osp.join(self.prefixes[column], part)
                    for column, part in zip(self.COLUMNS, parts)
                },
                **self.FACTS)
