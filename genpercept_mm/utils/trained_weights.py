"""Checkpoints without the frozen weights that ``pretrained`` brings."""
import weakref
import zlib

from mmengine.logging import print_log

KEY = 'left_out'
# by the id of a tensor: what tells a change, and checksum, as a whole model
# takes seconds and frozen weights do not change
_CHECKSUMS = {}
# Number of values that are compared, as ``tensor.data`` changes unnoticed
_SAMPLES = 64


def checksum(tensor):
    """Return the CRC-32 of a tensor's values in fp32, which depends neither on
    the device nor on a precision that holds the same values."""
    key, values = id(tensor), tensor.detach()
    sample = values.reshape(-1)[::max(values.numel() // _SAMPLES, 1)]
    state = (tensor.data_ptr(), tensor._version,
             sample.float().cpu().numpy().tobytes())
    if key in _CHECKSUMS and _CHECKSUMS[key][0] == state:
        return _CHECKSUMS[key][1]
    value = zlib.crc32(values.float().contiguous().cpu().numpy())
    _CHECKSUMS[key] = state, value
    weakref.finalize(tensor, _CHECKSUMS.pop, key, None)
    return value


def weight_sources(model):
    """Find, by name, the modules that read weights from elsewhere: those with
    ``pretrained`` set or an ``init_cfg`` of type ``'Pretrained'``."""

    def reads(module):
        configs = getattr(module, 'init_cfg', None) or []
        configs = [configs] if isinstance(configs, dict) else configs
        return isinstance(getattr(module, 'pretrained', None), str) or any(
            config['type'] == 'Pretrained' for config in configs)

    return {name: module for name, module in model.named_modules()
            if reads(module)}


def source_of(key, sources):
    """Return the name of the innermost of the `weight_sources` around a
    tensor, or None if there is none."""
    around = [name for name in sources
              if not name or key.startswith(name + '.')]
    return max(around, key=len, default=None)


def frozen_checksums(model):
    """Return the checksums, by name in the state dict, of frozen parameters
    that come from elsewhere."""
    sources = weight_sources(model)
    return {name: checksum(parameter) for name, parameter
            in model.named_parameters(remove_duplicate=False)
            if not parameter.requires_grad
            and source_of(name, sources) is not None}


def strip_frozen(checkpoint, checksums):
    """Take the weights of `frozen_checksums` out of a checkpoint, in place,
    and note which."""
    # some modules leave out weights by themselves
    checksums = {key: value for key, value in checksums.items()
                 if key in checkpoint['state_dict']}
    checkpoint['state_dict'] = type(checkpoint['state_dict'])(
        (key, value) for key, value in checkpoint['state_dict'].items()
        if key not in checksums)
    checkpoint.setdefault('meta', {})[KEY] = checksums


def restore_frozen(checkpoint, model):
    """Put the weights that `strip_frozen` took out back into a checkpoint.

    They are the tensors of ``model``, not copies; it is built from the config
    of the training. Where its weights differ from those of the training, its
    modules read ``pretrained`` again with ``init_weights``. Return whether
    anything had been taken out; raise a RuntimeError if a tensor is not in the
    model, or is not what it was in training.
    """
    left_out = checkpoint.get('meta', {}).get(KEY)
    if not left_out:
        return False
    own = model.state_dict()
    alien = [key for key in left_out if key not in own]
    if alien:
        raise RuntimeError(
            'The checkpoint holds trained weights only, of a model with '
            f'{len(alien)} tensors that this one lacks ({alien[:3]}). Use the '
            'config that it was trained with, or make a whole checkpoint of '
            'it with tools/model_converters/merge_lora.py.')

    def wrong():
        return [key for key, expected in left_out.items()
                if checksum(own[key]) != expected]

    sources = weight_sources(model)
    origin = {key: source_of(key, sources) for key in left_out}
    for name in sorted({origin[key] for key in wrong()} - {None}):
        print_log(
            f'the checkpoint holds trained weights only; {name or "the model"}'
            ' reads the others', logger='current')
        sources[name].init_weights()
    own = model.state_dict()
    differ = wrong()
    if differ:
        parts = sorted({_describe(key, origin[key], sources)
                        for key in differ})
        raise RuntimeError(
            'The checkpoint holds trained weights only, and '
            f'{len(differ)} of the {len(left_out)} others are not what they '
            f'were in training ({", ".join(differ[:3])}): '
            f'{"; ".join(parts)}. Set pretrained to what the training took.')
    checkpoint['state_dict'].update((key, own[key]) for key in left_out)
    return True


def _describe(key, name, sources):
    if name is None:
        return f'{key.split(".")[0]} has no pretrained weights'
    module = sources[name]
    given = getattr(module, 'pretrained', None) or module.init_cfg
    return f'{name or "the model"} has others, pretrained={given!r}'
