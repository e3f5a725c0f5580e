"""Files that appear whole or not at all, or raise an error that names them."""
import errno
import os
import os.path as osp
import re
import tempfile
import zlib
from pathlib import Path

# Beginning of the names of files that are not complete
PART = '.genpercept_'
# Characters that some file systems refuse, bytes that are not UTF-8 included
_REFUSED = re.compile('[\x00-\x1f<>:"|?*\\\\\udc80-\udcff]')
# What a file system answers to a name that it does not take
_NAME_ERRORS = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
# Bytes of a file name, as most file systems have it, without write_whole's own
_LONGEST = 240


def write_whole(path, write):
    """Write a file aside, then rename it into place.

    ``write`` takes the path to write to, and raises an error if it cannot
    write. The folder of ``path`` is made if it is missing; an older file stays
    until the new one is complete. Raises an OSError that names the file.
    """
    path, temporary = osp.abspath(path), None
    folder = osp.dirname(path)
    try:
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(
            dir=folder, prefix=PART, suffix='.part')
        os.close(handle)
        write(temporary)
        # mkstemp makes private files; give them the mode of any other
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except Exception as error:
        # as which torch and safetensors report a full disk
        if not isinstance(error, (OSError, RuntimeError)) and (
                type(error).__name__ != 'SafetensorError'):
            raise
        number = getattr(error, 'errno', None) or errno.EIO
        raise OSError(
            number, f'cannot write {printable(path)} '
            f'({getattr(error, "strerror", None) or error}); an earlier file '
            'of this name is as it was') from error
    finally:
        if temporary is not None and osp.exists(temporary):
            os.remove(temporary)


def write_bytes(path, content):
    """Write bytes to a file, see `write_whole`."""
    write_whole(path, lambda part: Path(part).write_bytes(content))


def write_named(folder, name, content):
    """Write bytes to a file whose name comes from data.

    Sub-folders in the name are kept. A name that the file system does not
    take is changed, and a log line says so.

    Args:
        folder (str): Folder of all such files.
        name (str): Name below it, with suffix; it must not leave the folder.
        content (bytes): The file.

    Returns:
        str: Path of the file.

    Raises:
        OSError: If the file cannot be written.
        ValueError: If the name leaves the folder.
    """
    from mmengine.logging import print_log
    name = osp.normpath(name)
    if osp.isabs(name) or name.split(os.sep)[0] == os.pardir:
        raise ValueError(f'the file name {printable(name)} must stay in '
                         f'{folder}; change the name of the sample.')
    path = osp.join(folder, name)
    try:
        if '\0' in name:
            raise OSError(errno.EINVAL, 'null byte')
        write_bytes(path, content)
    except OSError as error:
        if error.errno not in _NAME_ERRORS:
            raise
        path = osp.join(folder, *map(_taken, name.split(os.sep)))
        write_bytes(path, content)
        print_log(f'the file system does not take the name {printable(name)}; '
                  f'it is written to {path}', logger='current')
    return path


def usable_path(folder, name):
    """Join a folder and a name that comes from data; one that the file system
    does not take, being too long, is changed as by `write_named`."""
    path = osp.join(folder, name)
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno in _NAME_ERRORS:
            return osp.join(folder, *map(_taken, name.split(os.sep)))
    return path


def _taken(part):
    """Change one part of a path so that any file system takes it; different
    names stay different."""
    changed = _REFUSED.sub('_', part)
    if changed == part and len(os.fsencode(part)) <= _LONGEST:
        return part
    mark = f'_{zlib.crc32(os.fsencode(part)):08x}'
    stem, suffix = osp.splitext(part)
    if len(suffix) > 16:  # a dot inside a long name
        stem, suffix = part, ''
    stem, suffix = (_REFUSED.sub('_', text) for text in (stem, suffix))
    room = _LONGEST - len(mark) - len(suffix.encode())
    return stem.encode()[:room].decode(errors='ignore') + mark + suffix


def printable(path):
    """Return a path as text that any terminal and log takes; bytes that are
    not UTF-8 are written as ``\\xe9``."""
    return os.fsencode(path).decode(errors='backslashreplace')
