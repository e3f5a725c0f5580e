"""Finding files with one listing per folder."""
import os
import os.path as osp

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


class FileListing:
    """Remember what folders contain.

    On a network file system, looking up 50,000 frames one by one takes
    minutes; listing their few folders does not.
    """

    def __init__(self):
        self._folders = {}

    def names(self, folder):
        """List a folder.

        Args:
            folder (str): It does not have to exist.

        Returns:
            frozenset[str]: Names of the files and folders in it; empty if
            there is no such folder.
        """
        if folder not in self._folders:
            self._folders[folder] = (
                frozenset(os.listdir(folder)) if osp.isdir(folder)
                else frozenset())
        return self._folders[folder]

    def images(self, folder):
        """List the images of a folder.

        Args:
            folder (str): It does not have to exist.

        Returns:
            list[str]: Sorted names that end with one of
            ``IMAGE_SUFFIXES``, without hidden files.
        """
        return sorted(
            name for name in self.names(folder)
            if name.lower().endswith(IMAGE_SUFFIXES) and name[0] != '.')

    def exists(self, path):
        """Tell whether a file or folder exists.

        Args:
            path (str): The path.

        Returns:
            bool: Whether its parent folder lists it.
        """
        folder, name = osp.split(path)
        return name in self.names(folder)


def walk_files(root):
    """List all files below a folder, without hidden ones.

    Args:
        root (str): The folder; links to folders are followed.

    Returns:
        list[str]: Sorted paths relative to it, with forward slashes.
    """
    found = []
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if name[0] != '.']
        inner = osp.relpath(folder, root).replace(os.sep, '/')
        prefix = '' if inner == '.' else inner + '/'
        found += [prefix + name for name in names if name[0] != '.']
    return sorted(found)


def read_lines(path):
    """Read a list file.

    Args:
        path (str): A text file.

    Returns:
        list[tuple[int, str]]: Number, from 1, and text of each line that is
        not blank; blanks around the text are removed.
    """
    with open(path) as file:
        lines = file.read().splitlines()
    return [(number, line.strip()) for number, line in enumerate(lines, 1)
            if line.strip()]
