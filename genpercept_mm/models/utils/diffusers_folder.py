"""Read the files of a diffusers folder."""
import json
import os
import os.path as osp

import torch

WEIGHTS = [stem + suffix
           for stem in ('diffusion_pytorch_model', 'model', 'pytorch_model')
           for suffix in ('.safetensors', '.bin', '.fp16.safetensors',
                          '.fp16.bin')]


def find_weights(folder):
    """Find the weight file of a part.

    Args:
        folder (str): For example ``'.../unet'``.

    Returns:
        str | None: Its path; None if the folder has none.

    Raises:
        ValueError: If the weights are split into several files.
    """
    if not osp.isdir(folder):
        return None
    names = os.listdir(folder)
    for name in WEIGHTS:
        if name in names:
            return osp.join(folder, name)
    if any(name.endswith('.index.json') for name in names):
        raise ValueError(f'{folder}: the weights are in several files; save '
                         'them as one with diffusers first.')
    return None


def read_part(folder):
    """Read the tensors of a part, memory-mapped.

    Args:
        folder (str): For example ``'.../unet'``.

    Returns:
        dict[str, Tensor]: What the file holds.

    Raises:
        FileNotFoundError: If the folder has no weights.
        ValueError: If they are split into several files.
    """
    path = find_weights(folder)
    if path is None:
        raise FileNotFoundError(
            f'{folder} has no weights; expected one of {WEIGHTS[:2]}.')
    if path.endswith('.safetensors'):
        from safetensors.torch import load_file
        return load_file(path)
    return torch.load(path, map_location='cpu', weights_only=True, mmap=True)


def read_json(*path):
    """Read a JSON file.

    Args:
        *path (str): Parts of its path.

    Returns:
        dict | None: Its content; None if there is no such file.
    """
    path = osp.join(*path)
    if not osp.isfile(path):
        return None
    with open(path) as file:
        return json.load(file)
