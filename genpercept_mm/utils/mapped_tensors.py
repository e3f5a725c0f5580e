"""Tensors of .safetensors files that stay in the file until they are used."""
import json
import struct

import torch

_DTYPES = {
    'F64': torch.float64, 'F32': torch.float32, 'F16': torch.float16,
    'BF16': torch.bfloat16, 'I64': torch.int64, 'I32': torch.int32,
    'I16': torch.int16, 'I8': torch.int8, 'U8': torch.uint8,
    'BOOL': torch.bool}


def map_safetensors(path):
    """Map a .safetensors file into memory.

    A change of a tensor does not change the file. Tensors that cannot be
    mapped, because of their type or place, are read.

    Args:
        path (str): A local file.

    Returns:
        tuple[dict[str, Tensor], dict[str, str]]: Tensors on the CPU, and the
        metadata.

    Raises:
        safetensors.SafetensorError: If the file is damaged, or not such a
            file.
    """
    from safetensors import safe_open
    # it compares the header with the size of the file
    with safe_open(path, framework='pt') as file:
        fields, names = file.metadata() or {}, list(file.keys())
        with open(path, 'rb') as raw:
            size = struct.unpack('<Q', raw.read(8))[0]
            header = json.loads(raw.read(size))
            length = raw.seek(0, 2)
        storage = torch.UntypedStorage.from_file(path, False, length)
        tensors = {}
        for name in names:
            entry = header[name]
            dtype, begin = _DTYPES.get(entry['dtype']), entry[
                'data_offsets'][0] + 8 + size
            if dtype is None or begin % dtype.itemsize or not all(
                    entry['shape']):
                tensors[name] = file.get_tensor(name)
                continue
            tensors[name] = torch.empty(0, dtype=dtype).set_(
                storage, begin // dtype.itemsize, entry['shape'])
    return tensors, fields
