"""Finding files with one listing per folder."""
import os
import os.path as osp

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


class FileListing:
    """Remember what folders contain: on a network file system, looking up
    50,000 frames one by one takes minutes."""

    def __init__(self):
        self._folders = {}

    def names(self, folder):
        """Return the names in a folder, a frozenset, which may not exist."""
        if folder not in self._folders:
            self._folders[folder] = (
                frozenset(os.listdir(folder)) if osp.isdir(folder)
                else frozenset())
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
    as sorted relative paths with forward slashes."""
    found = []
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if name[0] != '.']
        inner = osp.relpath(folder, root).replace(os.sep, '/')
        prefix = '' if inner == '.' else inner + '/'
        found += [prefix + name for name in names if name[0] != '.']
    return sorted(found)


def read_lines(path):
    """Return the number, from 1, and the stripped text of each line of a
    text file that is not blank: list[tuple[int, str]]."""
    with open(path) as file:
        lines = file.read().splitlines()
    return [(number, line.strip()) for number, line in enumerate(lines, 1)
            if line.strip()]
