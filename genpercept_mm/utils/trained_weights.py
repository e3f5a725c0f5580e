"""Checkpoints without the frozen weights that ``pretrained`` brings."""
import zlib

from mmengine.logging import print_log

KEY = 'left_out'


def checksum(tensor):
    """Fingerprint a tensor's values, in fp32 and in their order.

    Args:
        tensor (Tensor): Real numbers, any shape.

    Returns:
        int: CRC-32 of the bytes, which does not depend on the device, or on a
        precision that holds the same values.
    """
    values = tensor.detach().float().contiguous().cpu().numpy()
    return zlib.crc32(values)


def weight_sources(model):
    """List the modules that read weights from elsewhere by themselves.

    Args:
        model (nn.Module): Any model.

    Returns:
        dict[str, nn.Module]: By name, the modules with ``pretrained`` set or
        an ``init_cfg`` of the type ``'Pretrained'``.
    """

    def reads(module):
        configs = getattr(module, 'init_cfg', None) or []
        configs = [configs] if isinstance(configs, dict) else configs
        return isinstance(getattr(module, 'pretrained', None), str) or any(
            config['type'] == 'Pretrained' for config in configs)

    return {name: module for name, module in model.named_modules()
            if reads(module)}


def source_of(key, sources):
    """Find the module that brings a tensor.

    Args:
        key (str): Name in the model's state dict.
        sources (dict[str, nn.Module]): From `weight_sources`.

    Returns:
        str | None: Name of the innermost such module around the tensor.
    """
    around = [name for name in sources
              if not name or key.startswith(name + '.')]
    return max(around, key=len, default=None)


def frozen_checksums(model):
    """Fingerprint the frozen parameters that come from elsewhere.

    Args:
        model (nn.Module): Any model.

    Returns:
        dict[str, int]: Checksum by name in the state dict.
    """
    sources = weight_sources(model)
    return {name: checksum(parameter) for name, parameter
            in model.named_parameters(remove_duplicate=False)
            if not parameter.requires_grad
            and source_of(name, sources) is not None}


def strip_frozen(checkpoint, checksums):
    """Take frozen weights out of a checkpoint, and note which.

    Args:
        checkpoint (dict): With ``state_dict`` and ``meta``; changed.
        checksums (dict[str, int]): From `frozen_checksums`, for the tensors
            to take out.
    """
    checkpoint['state_dict'] = type(checkpoint['state_dict'])(
        (key, value) for key, value in checkpoint['state_dict'].items()
        if key not in checksums)
    checkpoint.setdefault('meta', {})[KEY] = dict(checksums)


def restore_frozen(checkpoint, model):
    """Put the weights that `strip_frozen` took out back into a checkpoint.

    They are those of ``model``. Where its own differ from those of the
    training, its modules read ``pretrained`` again with ``init_weights``.

    Args:
        checkpoint (dict): Its ``state_dict`` is filled up in place with the
            model's own tensors, not with copies.
        model (nn.Module): Model of the config that the checkpoint was
            trained with.

    Returns:
        bool: Whether anything had been taken out.

    Raises:
        RuntimeError: If a module brings other weights than in training or
            none, or the model lacks it.
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
    """Say where a part's weights come from."""
    if name is None:
        return f'{key.split(".")[0]} has no pretrained weights'
    module = sources[name]
    given = getattr(module, 'pretrained', None) or module.init_cfg
    return f'{name or "the model"} has others, pretrained={given!r}'
