"""Look files up with one directory listing per folder."""
import os
import os.path as osp

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


class FileListing:
    """Remember what folders hold.

    A list of 50,000 frames takes minutes of single look-ups on a network
    file system, but few listings.
    """

    def __init__(self):
        self._folders = {}

    def names(self, folder):
        """List a folder.

        Args:
            folder (str): It need not exist.

        Returns:
            frozenset[str]: Names in it, files and folders; empty if there
            is no such folder.
        """
        if folder not in self._folders:
            self._folders[folder] = (
                frozenset(os.listdir(folder)) if osp.isdir(folder)
                else frozenset())
        return self._folders[folder]

    def images(self, folder):
        """List the images of a folder.

        Args:
            folder (str): It need not exist.

        Returns:
            list[str]: Names in it with one of ``IMAGE_SUFFIXES``, sorted;
            hidden ones are left out.
        """
        return sorted(
            name for name in self.names(folder)
            if name.lower().endswith(IMAGE_SUFFIXES) and name[0] != '.')

    def exists(self, path):
        """Tell whether a file or folder is there.

        Args:
            path (str): The path.

        Returns:
            bool: Whether its folder lists it.
        """
        folder, name = osp.split(path)
        return name in self.names(folder)


def walk_files(root):
    """List all files below a folder, hidden ones left out.

    Args:
        root (str): The folder.

    Returns:
        list[str]: Paths relative to it, with forward slashes, sorted.
    """
    found = []
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if name[0] != '.']
        inner = osp.relpath(folder, root).replace(os.sep, '/')
        prefix = '' if inner == '.' else inner + '/'
        found += [prefix + name for name in names if name[0] != '.']
    return sorted(found)
