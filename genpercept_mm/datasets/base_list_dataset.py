"""Benchmarks whose samples stand in a list file."""
import os.path as osp

from .base_dense_dataset import BaseDenseDataset


class BaseListDataset(BaseDenseDataset):
    """Read the list files that Marigold and GenPercept evaluate with.

    A line names the files of a sample, separated by blanks and relative to
    ``data_root``: the image first, then ``COLUMNS``. Further columns are
    ignored. The lists are in the folder ``data_split`` of GenPercept's
    repository.

    Args:
        labels (str | Sequence[str], optional): What to list, of ``LABELS``.
            Defaults to None (the first of ``LABELS``).
        data_root (str): Folder that the list's paths start from. Defaults
            to ''.
        ann_file (str): The list, absolute or relative to ``data_root``.
            Defaults to ''.
        data_prefix (dict[str, str], optional): Folders of single columns
            where they differ from ``data_root``, for example
            ``dict(depth_path='../annotated/val')``. Defaults to None.
        **kwargs: Arguments of `BaseDenseDataset`.

    Raises:
        FileNotFoundError: If the folder, the list or listed files are
            missing.
        ValueError: If a line lacks columns, or ``data_prefix`` names an
            unknown one.
    """

    #: Keys of the columns of a line.
    COLUMNS = ('img_path', 'depth_path')
    #: Where GenPercept keeps the list.
    LIST = ''
    #: What every sample says of its format.
    FACTS = dict()

    def __init__(self,
                 labels=None,
                 data_root='',
                 ann_file='',
                 data_prefix=None,
                 **kwargs):
        data_prefix = data_prefix or {}
        for column in data_prefix:
            self.check_choice('keys of data_prefix', column, self.COLUMNS)
        self.prefixes = {
            column: osp.join(data_root, data_prefix.get(column, ''))
            for column in self.COLUMNS}
        super().__init__(
            labels=labels, data_root=data_root, ann_file=ann_file, **kwargs)

    def list_samples(self, listing):
        """Name the samples of the list file.

        Args:
            listing (FileListing): Not needed here.

        Yields:
            dict: ``sample_name``, paths and facts of the format.
        """
        name = type(self).__name__
        if not osp.isfile(self.ann_file):
            raise FileNotFoundError(
                f'{name}: the list {self.ann_file!r} does not exist; it is '
                f'{self.LIST} of the GenPercept repository. Copy it there, '
                f'or set ann_file; {self.TREE}')
        with open(self.ann_file) as file:
            lines = file.read().splitlines()
        for number, line in enumerate(lines, 1):
            parts = line.split()
            if not parts:
                continue
            if len(parts) < len(self.COLUMNS):
                raise ValueError(
                    f'{name}: line {number} of {self.ann_file} has '
                    f'{len(parts)} column(s), {line!r}; expected '
                    f'{len(self.COLUMNS)}: {", ".join(self.COLUMNS)}.')
            # KITTI's way to say that a frame has no depth
            if 'None' in parts[:len(self.COLUMNS)]:
                continue
            yield dict(
                sample_name=osp.splitext(parts[0])[0],
                **{
                    column: osp.join(self.prefixes[column], part)
                    for column, part in zip(self.COLUMNS, parts)
                },
                **self.FACTS)
