"""Recognize the architecture of weights."""
import functools
import inspect

import torch

from .sd_archs import ARCHS, resolve_arch
from .weight_names import without_lora

# Fields of config.json that do not change the result of one pass
_IDLE_FIELDS = ('sample_size', 'force_upcast')
# Fields that must be written out, whatever their value
_KEPT_FIELDS = ('block_out_channels', 'cross_attention_dim')
# Fields that may differ between weights and a model: they change precision
# at most, or what a training or other classes do
_FREE_FIELDS = (*_IDLE_FIELDS, 'upcast_attention', 'dropout',
                'latents_mean', 'latents_std')
# Has the channels of one latent or of two, whatever the architecture
_INPUT_LAYER = 'conv_in.weight'


def detect_arch(unet, vae, unet_config=None, vae_config=None):
    """Find the architecture of weights.

    ``unet`` and ``vae`` map names to tensors, of which only the shapes are
    read. The configs are the ``config.json`` files beside them; without both,
    the shapes must be those of a name in ``ARCHS``. Returns a name in
    ``ARCHS`` if one fits, otherwise a dict for `resolve_arch`. Whether the
    U-Net takes one latent or two (image and noise) is not part of the
    architecture, see ``in_channels`` of `SDUNet`. Raises a ValueError if
    neither configs nor shapes tell the architecture.
    """
    from diffusers import AutoencoderKL, UNet2DConditionModel
    classes = dict(unet=UNet2DConditionModel, vae=AutoencoderKL)
    if unet_config is not None and vae_config is not None:
        latent = _written_out(AutoencoderKL, vae_config)['latent_channels']
        if unet_config.get('in_channels') == 2 * latent:
            unet_config = dict(unet_config, in_channels=latent)
        given = dict(unet=unet_config, vae=vae_config)
        for name, arch in ARCHS.items():
            if all(_written_out(cls, given[part])
                   == _written_out(cls, arch[part])
                   for part, cls in classes.items()):
                return name
        arch = {part: _without_defaults(cls, given[part])
                for part, cls in classes.items()}
        resolve_arch(arch, 'detect_arch')
        return arch
    given = dict(unet=without_lora(unet), vae=vae)
    given['unet'].pop(_INPUT_LAYER, None)
    for name in ARCHS:
        if all(_agree(given[part], _named_shapes(name, part, cls))
               for part, cls in classes.items()):
            return name
    raise ValueError(
        f'The weights have the shapes of none of {sorted(ARCHS)}, and no '
        'config tells their architecture. Give the config.json of U-Net and '
        'VAE beside weights in diffusers layout, or the config of a model of '
        'this package.')


def part_shapes(build, config):
    """Return the shape of each tensor of ``build(**config)`` by name, without
    allocating memory for them."""
    with torch.device('meta'):
        state = build(**config).state_dict()
    return {key: tuple(value.shape) for key, value in state.items()}


def check_config(model, config, part, pretrained, owner='SDUNet'):
    """Raise a ValueError if weights have another architecture than a model.

    ``config`` is the ``config.json`` beside the weights of ``part``, which
    ``pretrained`` of the class ``owner`` names; all its fields that change the
    computation are compared. A U-Net may take twice the channels of the
    weights.
    """
    cls = type(model)
    ours, theirs = (_written_out(cls, {
        key: value for key, value in fields.items() if key[0] != '_'})
        for fields in (model.config, config))
    different = []
    for field, value in ours.items():
        widened = field == 'in_channels' and value == 2 * theirs[field]
        if field not in _FREE_FIELDS and value != theirs[field] and (
                not widened):
            there, here = (
                list(given) if isinstance(given, tuple) else given
                for given in (config.get(field, theirs[field]),
                              model.config.get(field, value)))
            different.append(f'{field} is {there} there, {here} here')
    if different:
        raise ValueError(
            f'{owner}: pretrained={pretrained!r} has another {part} than '
            f'arch says ({"; ".join(different)}); set arch, and in_channels, '
            'to those of the weights.')


@functools.cache
def _named_shapes(name, part, cls):
    return part_shapes(cls, ARCHS[name][part])


def _agree(state, shapes):
    # what is missing or has no place is judged elsewhere
    return bool(state) and all(
        tuple(value.shape) == shapes[key] for key, value in state.items()
        if key in shapes)


def _written_out(cls, config):
    """Give every field that matters in a comparable form."""
    fields = {name: parameter.default for name, parameter
              in inspect.signature(cls.__init__).parameters.items()
              if name not in ('self', *_IDLE_FIELDS)}
    fields.update({key: value for key, value in config.items()
                   if key in fields})
    blocks = len(fields['block_out_channels'])
    for key in ('attention_head_dim', 'layers_per_block',
                'transformer_layers_per_block', 'only_cross_attention'):
        if isinstance(fields.get(key), int):
            fields[key] = (fields[key], ) * blocks
    return {key: tuple(value) if isinstance(value, list) else value
            for key, value in fields.items()}


def _without_defaults(cls, config):
    """Keep the fields that differ from the defaults of diffusers."""
    defaults, given = _written_out(cls, {}), _written_out(cls, config)
    return {key: list(value) if isinstance(value, (list, tuple)) else value
            for key, value in config.items() if key in given
            and (key in _KEPT_FIELDS or given[key] != defaults[key])}
