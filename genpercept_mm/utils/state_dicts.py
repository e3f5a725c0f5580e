"""Comparing weights with the model that they are for."""


def find_misfits(given, own):
    """Compare the tensors of a checkpoint with those of a model.

    Counters of batch norms may be missing, and the embedded prompt may have
    another length.

    Args:
        given (dict[str, Tensor]): Tensors of the checkpoint.
        own (dict[str, Tensor]): ``model.state_dict()``.

    Returns:
        str: What is missing or has another shape, for an error; empty if all
        tensors fit.
    """
    missing = [key for key in own if key not in given
               and not key.endswith('num_batches_tracked')]
    wrong = [f'{key}: {tuple(given[key].shape)} there, '
             f'{tuple(value.shape)} here' for key, value in own.items()
             if key in given and given[key].shape != value.shape
             and not key.endswith('prompt_embeds')]
    if not missing and not wrong:
        return ''
    return (f'{len(missing)} of {len(own)} tensors are missing '
            f'({", ".join(missing[:5])}), {len(wrong)} have another shape '
            f'({"; ".join(wrong[:5])})')
