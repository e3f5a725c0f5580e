"""OpenMMLab checkpoints as .safetensors files.

Importing this module lets mmengine load such files by their local path,
wherever it loads checkpoints (``load_from``, ``init_cfg``, inferencers).
"""
import json
import os.path as osp

from mmengine.runner.checkpoint import CheckpointLoader

from genpercept_mm.utils.mapped_tensors import map_safetensors


def save_safetensors(checkpoint, path):
    """Write ``state_dict`` and, if there is one, ``meta`` of a checkpoint.

    ``meta`` becomes JSON in one field, because safetensors writes several in
    random order and the same checkpoint shall give the same bytes. A
    ValueError is raised if it holds more than text, numbers, lists and dicts.
    """
    from safetensors.torch import save_file
    try:
        meta = json.dumps(_encode(checkpoint.get('meta', {})))
    except TypeError as error:
        raise ValueError(f'save_safetensors: meta must hold text, numbers, '
                         f'lists and dicts. {error}; take it out.') from error
    tensors, storages = {}, set()
    for key, value in checkpoint['state_dict'].items():
        value = value.detach().contiguous()
        # the format knows no tensors that share memory
        if value.untyped_storage().data_ptr() in storages:
            value = value.clone()
        storages.add(value.untyped_storage().data_ptr())
        tensors[key] = value
    save_file(tensors, path, metadata=dict(meta=meta))


# 'http://...' and the like have loaders of their own, which come first
@CheckpointLoader.register_scheme(prefixes=r'(?i).*\.safetensors$')
def load_from_safetensors(filename, map_location=None):
    """Load a file of `save_safetensors`, or of tensors alone, on the CPU.

    ``map_location`` is not used; tuples in ``meta`` are lists now. Raise a
    FileNotFoundError, or a RuntimeError if the file is damaged or of another
    format.
    """
    from safetensors import SafetensorError
    filename = osp.expanduser(filename)
    if not osp.isfile(filename):
        raise FileNotFoundError(f'{filename} can not be found.')
    try:
        state, fields = map_safetensors(filename)
        meta = json.loads(fields.get('meta', '{}'), object_hook=_decode)
    except (SafetensorError, TypeError, ValueError) as error:
        raise RuntimeError(
            f'{filename} cannot be read ({error}); it is truncated or not a '
            '.safetensors checkpoint. Copy it again.') from error
    return dict(state_dict=state, meta=meta)


def _encode(value):
    """Keep keys that JSON would turn into text: as pairs, below ''."""
    if isinstance(value, dict):
        content = {key: _encode(item) for key, item in value.items()}
        if all(isinstance(key, str) for key in value) and set(value) != {''}:
            return content
        return {'': list(content.items())}
    if isinstance(value, (list, tuple)):
        return [_encode(item) for item in value]
    return value


def _decode(content):
    """Undo `_encode`, for one dict."""
    return dict(content['']) if set(content) == {''} else content
