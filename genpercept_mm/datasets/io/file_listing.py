"""Finding files with one listing per folder, and reading lists of them."""
import csv
import os
import os.path as osp
import re

from genpercept_mm.utils.files import printable

#: Suffixes of images, all of which OpenCV or Pillow decodes.
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.bmp', '.dib',
                  '.gif', '.jp2', '.pbm', '.pgm', '.ppm', '.pnm', '.tif',
                  '.tiff', '.webp')


class FileListing:
    """Remember what folders contain: on a network file system, looking up
    50,000 frames one by one takes minutes."""

    def __init__(self):
        self._folders = {}

    def names(self, folder):
        """Return the names in a folder, a frozenset, which may not exist;
        links to nowhere are left out."""
        if folder not in self._folders:
            names = ()
            if osp.isdir(folder):
                with os.scandir(folder) as entries:
                    names = [entry.name for entry in entries
                             if not entry.is_symlink()
                             or osp.exists(entry.path)]
            self._folders[folder] = frozenset(names)
        return self._folders[folder]

    def images(self, folder):
        """Return the sorted names that end with one of ``IMAGE_SUFFIXES``,
        without hidden files."""
        return sorted(
            name for name in self.names(folder)
            if name.lower().endswith(IMAGE_SUFFIXES) and name[0] != '.')

    def with_alpha(self, images, masks):
        """Yield samples of a folder's images, whose mattes are PNG files of
        the same names in another folder."""
        for name in self.images(images):
            stem = osp.splitext(name)[0]
            yield dict(
                sample_name=stem,
                img_path=osp.join(images, name),
                alpha_path=osp.join(masks, stem + '.png'))

    def exists(self, path):
        """Tell whether the parent folder lists a file or folder."""
        folder, name = osp.split(path)
        return name in self.names(folder)


def walk_files(root):
    """List all files below a folder, without hidden ones and following links,
    as sorted relative paths with forward slashes.

    Each real folder is listed once, under the first of its paths in sorted
    order of depth; links to nowhere are listed, so that they are missed.
    """
    found, seen, level = [], set(), ['']
    while level:
        deeper = []
        for prefix in sorted(level):
            folder = osp.join(root, prefix)
            identity = os.stat(folder)
            if (identity.st_dev, identity.st_ino) in seen:
                continue
            seen.add((identity.st_dev, identity.st_ino))
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name[0] == '.':
                        continue
                    if _is_folder(entry):
                        deeper.append(f'{prefix}{entry.name}/')
                    else:
                        found.append(prefix + entry.name)
        level = deeper
    return sorted(found)


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def read_lines(path):
    """Read the lines of a text file that are neither blank nor comments.

    Text is UTF-8, with or without a byte order mark; a comment is a line that
    begins with ``#``. Returns list[tuple[int, str]]: the number, from 1, and
    the stripped text of each line. Raises a ValueError if the file is not
    such text.
    """
    try:
        with open(path, encoding='utf-8-sig') as file:
            lines = file.read().split('\n')
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{printable(path)} is not UTF-8 text ({error}); save it as UTF-8.'
        ) from error
    return [(number, line.strip()) for number, line in enumerate(lines, 1)
            if line.strip() and line.strip()[0] != '#']


def split_columns(line):
    """Split a line at tabs if it has any, otherwise at blanks; names with
    blanks may be in double quotes. Raises a ValueError for an open quote."""
    if '\t' in line:
        try:
            columns = next(csv.reader([line], delimiter='\t'))
        except csv.Error as error:
            raise ValueError(str(error)) from error
        return [column.strip() for column in columns if column.strip()]
    columns = re.findall(r'"([^"]*)"|([^\s"]+)', line)
    if line.count('"') % 2:
        raise ValueError('a quote is not closed')
    return [quoted or plain for quoted, plain in columns]
