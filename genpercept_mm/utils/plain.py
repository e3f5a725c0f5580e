"""Values that load anywhere."""


def to_plain(value):
    """Turn nested containers into dicts and lists, and arrays into lists.

    Mappings (for example a ``ConfigDict``), sequences, arrays, tensors and
    their scalars become dicts, lists and Python numbers; other values stay.
    Checkpoints with only these load with ``torch.load(weights_only=True)``.
    """
    if isinstance(value, dict):
        return {key.tolist() if hasattr(key, 'tolist') else key:
                to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value.tolist() if hasattr(value, 'tolist') else value
