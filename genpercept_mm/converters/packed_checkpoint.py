"""Small checkpoints: rounded differences to weights that are there anyway.

A .npz file with, for each tensor, an array of its name: float16 values, or
int8 differences in steps, see `pack`; and ``packing``, JSON with the
checkpoint's ``meta``, the source of the other weights, and the steps.
"""
import io
import json
import zipfile
import zlib

import numpy as np
import torch

from genpercept_mm.models.utils.diffusers_folder import (
    local_folder,
    read_part,
)
from genpercept_mm.utils.files import write_bytes
from genpercept_mm.utils.plain import to_plain

HEADER = 'packing'
# Beginnings of names in a model, and the parts of the base's folder
PARTS = {'backbone.unet.': 'unet', 'backbone.vae.': 'vae',
         'decode_head.vae.': 'vae'}
# Tensors with fewer values stay float16
SMALL = 256


def pack(checkpoint, base='mini', levels=6.):
    """Express a checkpoint by rounded differences to other weights.

    Args:
        checkpoint (dict): With ``state_dict`` and ``meta``.
        base (str): Weights that the training started from, see
            ``pretrained`` of `SDUNet`. Tensors without counterpart there
            count as differences to zero. Defaults to 'mini'.
        levels (float): Steps in the root mean square of a tensor's
            differences; the error of a weight is up to half a step. Defaults
            to 6.

    Returns:
        dict[str, np.ndarray]: Arrays for ``np.savez_compressed``.
    """
    origin = _read_base(base)
    arrays, steps = {}, {}
    for key, value in checkpoint['state_dict'].items():
        value = value.detach().float().cpu()
        if not value.ndim or value.numel() < SMALL:
            arrays[key] = value.numpy().astype(np.float16)
            continue
        change = value - origin.get(key, torch.zeros(())).float()
        step = max(float(change.square().mean().sqrt()) / levels,
                   float(change.abs().max()) / 127)
        steps[key] = step
        arrays[key] = np.round(change.numpy() / step if step else
                               np.zeros(change.shape)).astype(np.int8)
    packing = dict(base=base, base_checksum=_checksum(origin), steps=steps,
                   meta=to_plain(checkpoint['meta']))
    arrays[HEADER] = np.frombuffer(json.dumps(packing).encode(), np.uint8)
    return arrays


def save_packed(checkpoint, path, base='mini', levels=6.):
    """Write what `pack` makes, whole or not at all."""
    content = io.BytesIO()
    np.savez_compressed(content, **pack(checkpoint, base, levels))
    write_bytes(path, content.getvalue())


def load_packed(path):
    """Read a file of `save_packed`.

    Returns:
        dict: ``state_dict`` (float32) and ``meta``.

    Raises:
        FileNotFoundError: If it, or the weights that it builds on, are
            missing.
        RuntimeError: If it is damaged or something else, or the other weights
            are not those that it was packed with.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        packing = json.loads(arrays.pop(HEADER).tobytes())
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RuntimeError(f'{path} is not a packed checkpoint, or damaged '
                           f'({error}); copy it again.') from error
    origin, state = _read_base(packing['base']), {}
    if _checksum(origin) != packing['base_checksum']:
        raise RuntimeError(
            f'{path} was packed as differences to other weights than '
            f'{packing["base"]!r} has now; take both from one version.')
    for key, array in arrays.items():
        value = torch.from_numpy(array.astype(np.float32))
        if key in packing['steps']:
            value *= packing['steps'][key]
            if key in origin:
                value += origin[key].float()
        elif key.endswith('num_batches_tracked'):
            value = value.long()
        state[key] = value
    return dict(state_dict=state, meta=packing['meta'])


def _checksum(state):
    """Return the CRC-32 of tensors, in the order of their names."""
    value = 0
    for key in sorted(state):
        value = zlib.crc32(state[key].float().contiguous().numpy(), value)
    return value


def _read_base(base):
    """Read the weights of a diffusers folder under the names of a model."""
    folder = local_folder(base, tuple(sorted(set(PARTS.values()))))
    parts = {part: read_part(f'{folder}/{part}')
             for part in set(PARTS.values())}
    return {beginning + key: value for beginning, part in PARTS.items()
            for key, value in parts[part].items()}
