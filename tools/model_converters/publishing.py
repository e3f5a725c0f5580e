"""Publish checkpoints: the weights and what inference needs."""
import copy
import hashlib
import os
import os.path as osp
import tempfile

import torch

from genpercept_mm.utils.files import write_whole
from genpercept_mm.utils.plain import to_plain
from genpercept_mm.utils.safetensors_checkpoint import save_safetensors
from genpercept_mm.utils.trained_weights import KEY

# Fields of meta that are kept, with all that end in 'version'. The others
# describe the run: its time, its name, messages of hooks.
META = ('cfg', 'config', 'conversion', 'released', 'dataset_meta', 'CLASSES',
        'PALETTE', 'arch', 'task', 'quantity', 'codec', 'epoch', 'iter',
        'seed', KEY)


def strip_checkpoint(checkpoint):
    """Leave out what only a training needs.

    What stays is ``state_dict`` and, of ``meta``, the config as text, the
    description of the data set, versions, epoch and iteration, and, if the
    checkpoint holds trained weights only, the checksums of the other
    weights. After mmengine's ``EMAHook``, ``state_dict`` already holds the
    averaged weights.

    Args:
        checkpoint (dict): With ``state_dict`` and ``meta``; not changed.

    Returns:
        tuple: The new checkpoint (dict), and the names (list[str]) of what
        is left out. Arrays in ``meta`` have become lists, so that
        ``torch.load(path, weights_only=True)`` reads it anywhere.
    """
    meta = checkpoint['meta']
    kept = {key: to_plain(value) for key, value in meta.items()
            if key in META or key.endswith('version')}
    dropped = [key for key in checkpoint if key not in ('state_dict', 'meta')]
    dropped += [f'meta.{key}' for key in meta if key not in kept]
    # a copy has the versions of modules that torch stores beside the tensors
    state = copy.copy(checkpoint['state_dict'])
    for key, value in state.items():
        state[key] = _whole(value)
    return dict(state_dict=state, meta=kept), dropped


def publish(checkpoint, prefix, suffix='pth'):
    """Write a checkpoint whose name contains the hash of its content.

    Args:
        checkpoint (dict): With ``state_dict`` and ``meta``; written as it
            is.
        prefix (str): Path without suffix. The file is
            ``<prefix>-<hash>.<suffix>`` with the first 8 digits of its
            SHA-256, as in OpenMMLab's names; mmengine verifies them when it
            downloads a file.
        suffix (str): ``'pth'`` or ``'safetensors'``. Defaults to 'pth'.

    Returns:
        str: Path of the file, which appears whole or not at all. The same
        checkpoint always gives the same file, which may already exist.

    Raises:
        FileExistsError: If a file of that name has different content.
        ValueError: If ``suffix`` is neither of these, or if ``prefix`` is a
            folder or has a suffix.
    """
    if suffix not in _WRITERS:
        raise ValueError(f'publish: suffix must be one of {list(_WRITERS)}, '
                         f'got {suffix!r}.')
    folder, name = osp.split(osp.abspath(prefix))
    if prefix.endswith(os.sep) or osp.splitext(name)[1][1:] in _WRITERS:
        raise ValueError(
            'publish: prefix must be a path without suffix, got '
            f'{prefix!r}; the hash and .{suffix} are appended to it.')
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        written = osp.join(aside, 'checkpoint')
        write_whole(
            written, lambda part: _WRITERS[suffix](checkpoint, part))
        digest = _sha256(written)
        path = f'{prefix}-{digest[:8]}.{suffix}'
        if osp.exists(path):
            if _sha256(path) != digest:
                raise FileExistsError(
                    f'{path} exists, and its content does not match its '
                    'name; it is damaged. Remove it first.')
        else:
            os.replace(written, path)
    return path


def _save_pth(checkpoint, path):
    # given a path, torch stores the file's name, which would change the hash
    with open(path, 'wb') as file:
        torch.save(checkpoint, file)


_WRITERS = dict(pth=_save_pth, safetensors=save_safetensors)


def _whole(tensor):
    """Copy a view of a larger memory, all of which torch would store."""
    tensor = tensor.detach().contiguous()
    size = tensor.numel() * tensor.element_size()
    return tensor if tensor.untyped_storage().nbytes() == size else (
        tensor.clone())


def _sha256(path):
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()
