"""Load the diffusers parts of a backbone or head, and nothing by half."""
import os.path as osp

from mmengine.logging import print_log

from .arch_detection import check_config
from .diffusers_folder import MIRROR, read_json, read_part
from .weight_names import to_lora_names


def load_parts(module, folder, parts):
    """Load parts of Stable Diffusion into a module that asks for them.

    ``module`` has a diffusers model under the name of each part (``'unet'``,
    ``'vae'``), of which it may have dropped or wrapped layers, and the
    attribute ``pretrained``; its ``_has_weights`` becomes True. ``folder``
    comes from `local_folder`.

    Raises:
        OSError: If a file cannot be found or read.
        RuntimeError: If tensors are missing or have another shape.
        ValueError: See `check_config`.
    """
    owner = type(module).__name__
    for part in parts:
        model = getattr(module, part)
        source = f'{part} of pretrained={module.pretrained!r}'
        try:
            config = read_json(folder, part, 'config.json', required=True)
            check_config(model, config, part, module.pretrained, owner)
            state = read_part(osp.join(folder, part))
        except OSError as error:
            raise OSError(
                f'{owner}: cannot read {source}: {error} {MIRROR}.') from error
        load_part(model, state, f'{owner}: {source}',
                  'than its config.json says')
    module._has_weights = True
    print_log(
        f'{owner}: loaded {" and ".join(parts)} of {module.pretrained}',
        logger='current')


def load_part(model, state, source, expected='than those of arch'):
    """Load tensors under diffusers' names into a model that may have dropped
    or wrapped layers.

    ``source`` names the tensors in errors, and ``expected`` what their shapes
    should follow. Raises a RuntimeError if tensors are missing or have another
    shape.
    """
    own = model.state_dict()
    widen_input(state, own)
    to_lora_names(state, own)
    missing, wrong = compare_shapes(state, own)
    if missing:
        raise RuntimeError(f'{source} lacks {len(missing)} '
                           f'tensors: {abridge(missing)}.')
    if wrong:
        raise RuntimeError(
            f'{source} has {len(wrong)} tensors of another shape '
            f'{expected}: {abridge(wrong)}.')
    model.load_state_dict(
        {key: state[key] for key in own if key in state}, strict=False)


def require_weights(module):
    """Raise a RuntimeError if ``pretrained`` is set but not loaded."""
    if not module._has_weights:
        raise RuntimeError(
            f'{type(module).__name__}: pretrained={module.pretrained!r} is '
            'set but not loaded; call init_weights(), or load a checkpoint.')


def check_checkpoint(module, state_dict, prefix, part='', optional=(),
                     resized=(), fields=('arch', )):
    """Check a checkpoint in a ``load_state_dict`` pre-hook.

    mmengine only logs what does not fit, and would go on with random weights.
    The names of plain weights become peft's where the module has LoRA.

    ``prefix`` is that of the module's tensors in ``state_dict``, the
    checkpoint of the whole model; ``part`` is the attribute of the module to
    check, or ``''`` for all of it. See `compare_shapes` for ``optional`` and
    ``resized``; ``fields`` are the config fields to name in errors. Returns
    whether the checkpoint holds the part; if so, the module's ``_has_weights``
    becomes True. Raises a RuntimeError if the part does not fit the module.
    """
    start = prefix + part + ('.' if part else '')
    if not any(key.startswith(start) for key in state_dict):
        return False
    own = module.get_submodule(part).state_dict(prefix=start)
    to_lora_names(state_dict, own)
    missing, wrong = compare_shapes(state_dict, own, optional,
                                    [prefix + key for key in resized])
    if missing or wrong:
        raise RuntimeError(
            f'{type(module).__name__}: the checkpoint is of another '
            f'architecture. {len(missing)} tensors are missing '
            f'({abridge(missing)}); {len(wrong)} have another shape '
            f'({abridge(wrong, 3)}). Set {", ".join(fields)} as in its '
            'training config. A checkpoint of trained weights only needs '
            'genpercept_mm.TrainedWeightsHook in custom_hooks.')
    module._has_weights = True
    return True


def compare_shapes(state, own, optional=('.lora_', ), resized=()):
    """Compare weights with those of a model (``own``).

    Tensors with one of the words in ``optional`` in their names may be
    missing, those in ``resized`` may have another shape. Returns the names
    that are missing, and a phrase for each tensor of another shape.
    """
    missing = [key for key in own if key not in state
               and not any(word in key for word in optional)]
    wrong = [f'{key} is {tuple(state[key].shape)} there, '
             f'{tuple(value.shape)} here' for key, value in own.items()
             if key in state and key not in resized
             and state[key].shape != value.shape]
    return missing, wrong


def widen_input(state, own):
    """Let a U-Net take two latents where its weights take one, in place.

    The first layer's weight, (C, 4, 3, 3), is repeated along its input
    channels and halved (Marigold, arXiv:2312.02145, section 3.2), so that two
    equal latents give what one gave. It becomes fp32.
    """
    key = 'conv_in.weight'
    if key in state and key in own and (
            own[key].shape[1] == 2 * state[key].shape[1]):
        # halving is exact in fp32, not in fp16
        state[key] = state[key].float().repeat(1, 2, 1, 1) / 2


def abridge(keys, limit=8):
    """Join the first of many names, for example ``'a, b and 3 more'``."""
    more = len(keys) - limit
    return ', '.join(keys[:limit]) + (f' and {more} more' if more > 0 else '')
