"""Config values as plain containers."""


def to_plain(value):
    """Turn nested mappings and sequences into dicts and lists.

    Checkpoints with only these load with ``torch.load(weights_only=True)``.

    Args:
        value (object): For example a ``ConfigDict``.

    Returns:
        object: dicts, lists, and other values as they are.
    """
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value
