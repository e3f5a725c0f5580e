"""Files that appear whole or not at all."""
import os
import os.path as osp
import tempfile
from pathlib import Path


def write_whole(path, write):
    """Write a file aside, then rename it into place.

    ``write`` takes the path to write to. The folder of ``path`` is made if it
    is missing; an older file stays until the new one is complete.
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
    """Write bytes to a file, see `write_whole`."""
    write_whole(path, lambda part: Path(part).write_bytes(content))
