"""Files that appear whole or not at all."""
import os
import os.path as osp
import tempfile


def write_whole(path, write):
    """Write a file aside, then rename it into place.

    Args:
        path (str | Path): Target; its folder is made when missing. An older
            file of that name stays until the new one is complete.
        write (Callable): Called with the path to write to; may raise.
    """
    folder = osp.dirname(osp.abspath(path))
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, suffix='.part')
    os.close(handle)
    try:
        write(temporary)
        # mkstemp makes private files; give them the mode of any other
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    finally:
        if osp.exists(temporary):
            os.remove(temporary)


def write_bytes(path, content):
    """Write a file's whole content, or nothing.

    Args:
        path (str | Path): Target, as of `write_whole`.
        content (bytes): What it shall hold.
    """

    def write(temporary):
        with open(temporary, 'wb') as file:
            file.write(content)

    write_whole(path, write)
