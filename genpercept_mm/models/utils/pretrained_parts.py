"""State dicts of the backbone: LoRA names, and checks before loading."""


def abridge(keys, limit=8):
    """Join the first of many names for a message.

    Args:
        keys (Sequence[str]): Names.
        limit (int): How many to write out. Defaults to 8.

    Returns:
        str: For example ``'a, b and 3 more'``.
    """
    more = len(keys) - limit
    return ', '.join(keys[:limit]) + (f' and {more} more' if more > 0 else '')


def to_lora_names(state, own):
    """Rename plain weights to those that peft wraps, in place.

    Args:
        state (dict[str, Tensor]): Weights with plain or peft's names.
        own (Iterable[str]): Names of the model; with LoRA, peft's.
    """
    for key in own:
        plain = key.replace('.base_layer.', '.')
        if plain != key and plain in state and key not in state:
            state[key] = state.pop(plain)


def adapt_state_dict(module, state_dict, prefix, *args):
    """Check a checkpoint before it is loaded, and adopt its prompt.

    A ``load_state_dict`` pre-hook: mmengine only logs what does not fit, and
    would go on with random weights.

    Args:
        module (SDUNet): Is loaded into.
        state_dict (dict[str, Tensor]): Of the whole model; plain names become
            peft's where the model has LoRA.
        prefix (str): Of the backbone's tensors.
        *args: The rest of such a hook's arguments, not used.

    Raises:
        RuntimeError: If the checkpoint holds a backbone under this name,
            but another one.
    """
    own = module.state_dict()
    given = {key[len(prefix):]: value for key, value in state_dict.items()
             if key.startswith(prefix)}
    if not given:
        return
    to_lora_names(given, own)
    for key in [key for key in state_dict if key.startswith(prefix)]:
        del state_dict[key]
    state_dict.update({prefix + key: value for key, value in given.items()})

    missing = [key for key in own if key not in given
               and '.lora_' not in key and not key.startswith('pyramid_up.')]
    wrong = [f'{key} is {tuple(given[key].shape)} there, '
             f'{tuple(value.shape)} here' for key, value in own.items()
             if key in given and key != 'prompt_embeds'
             and given[key].shape != value.shape]
    if missing or wrong:
        raise RuntimeError(
            'SDUNet: the checkpoint is of another architecture. '
            f'{len(missing)} tensors are missing ({abridge(missing)}); '
            f'{len(wrong)} have another shape ({abridge(wrong, 3)}). Set '
            'arch, in_channels, feature_type, out_indices and lora_rank as in '
            'its training config. One with trained weights only needs '
            'genpercept_mm.TrainedWeightsHook in custom_hooks.')
    if 'prompt_embeds' in given:
        module._set_prompt(given['prompt_embeds'])
    module._has_weights = True
