"""Telling what a file of weights really is, whatever its name says."""
import os
import os.path as osp
import struct

SAFETENSORS, ZIP, PICKLE = 'safetensors', 'zip', 'pickle'


def kind_of(path):
    """Recognize a file of weights by its first bytes.

    Returns ``SAFETENSORS``, ``ZIP`` (torch since 1.6) or ``PICKLE`` (torch
    before), or None if it is none of them. Raises an OSError that says what
    the file is, and what to do, if it is certainly not weights.
    """
    size = osp.getsize(path)
    with open(path, 'rb') as file:
        head = file.read(512)
    if not head.strip(b'\0'):
        raise OSError(f'{path} is empty ({size} bytes); download or copy it '
                      'again.')
    if head.startswith(b'version https://git-lfs'):
        raise OSError(f'{path} is a pointer of Git LFS, not the weights; run '
                      'git lfs pull in its repository, or download the file.')
    if head.startswith(b'PK\x03\x04'):
        return ZIP
    # first, as the length of a header may begin as a pickle does
    if len(head) > 8 and head[8:9] == b'{' and (
            struct.unpack('<Q', head[:8])[0] <= max(size, 100)):
        return SAFETENSORS
    if head.startswith(b'\x80'):
        return PICKLE
    for beginning, name, remedy in (
            (b'\x1f\x8b', 'a gzip archive', 'unpack it'),
            (b'BZh', 'a bzip2 archive', 'unpack it'),
            (b'\xfd7zXZ', 'an xz archive', 'unpack it'),
            (b'7z\xbc\xaf', 'a 7z archive', 'unpack it'),
            (b'Rar!', 'a RAR archive', 'unpack it'),
            (b'\x89HDF', 'an HDF5 file, as Keras writes',
             'take the weights of the PyTorch version'),
            (b'GGUF', 'a GGUF file', 'take the .safetensors weights'),
            (b'\x93NUMPY', 'a NumPy array', 'take the .safetensors weights')):
        if head.startswith(beginning):
            raise OSError(f'{path} is {name}, not weights of PyTorch; '
                          f'{remedy}.')
    text = head.lstrip(b'\xef\xbb\xbf \t\r\n')
    if text[:1] in (b'<', b'{', b'[') or _is_text(head):
        what = 'an HTML page' if b'<html' in text.lower() or text.lower(
            ).startswith(b'<!doctype') else 'a text file'
        start = text[:40].decode(errors='replace').split('\n')[0]
        raise OSError(
            f'{path} is {what} that begins with {start!r}, not weights; the '
            'download has probably failed. Download it again.')
    return None


def _is_text(head):
    try:
        text = head[:256].decode()
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char in '\r\n\t' for char in text)


def local_file(path):
    """Return the path of an existing local file, or None for addresses and
    what does not exist."""
    if '://' in os.fspath(path):
        return None
    path = osp.expanduser(path)
    return path if osp.isfile(path) else None


def unwrap_state(state, path):
    """Find the dict of tensors in what a file holds.

    Weights may lie below a key such as ``state_dict``, beside numbers, or
    under names that all begin with ``module.``. Raises a ValueError that names
    the file and what it holds.
    """
    if not isinstance(state, dict):
        raise ValueError(f'{path} must hold a dict of tensors, got '
                         f'{type(state).__name__}.')
    for key in ('state_dict', 'model', 'module', 'model_state_dict', 'params',
                'params_ema', 'ema'):
        inner = state.get(key)
        if isinstance(inner, dict) and any(map(_is_tensor, inner.values())):
            state = inner
            break
    wrong = [key for key, value in state.items() if not _is_tensor(value)
             and not isinstance(value, (int, float, bool, str, type(None)))]
    tensors = {key: value for key, value in state.items()
               if _is_tensor(value)}
    if wrong or not tensors:
        kinds = {key: type(value).__name__
                 for key, value in list(state.items())[:5]}
        raise ValueError(f'{path} must hold a dict of tensors, got {kinds}.')
    if all(key.startswith('module.') for key in tensors):
        tensors = {key[len('module.'):]: value
                   for key, value in tensors.items()}
    if any(key.startswith('model.diffusion_model.') for key in tensors):
        raise ValueError(
            f'{path} has the original layout of Stable Diffusion, in one file;'
            ' convert it with diffusers: StableDiffusionPipeline.'
            'from_single_file(path).save_pretrained(folder), and give the '
            'folder.')
    return tensors


def _is_tensor(value):
    return hasattr(value, 'untyped_storage')
