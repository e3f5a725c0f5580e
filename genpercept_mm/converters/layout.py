"""State dicts of our models, in parts and whole.

The parts of a `DenseEstimator`, which every family of weights has in some
form, are a dict of:

- ``unet``: tensors of ``UNet2DConditionModel``
- ``vae``: tensors of ``AutoencoderKL``
- ``prompt_embeds``: the embedded prompt, (1, L, D)
- ``dpt_head``: tensors of a `DPTDecodeHead`; None with a `VAEDecodeHead`
"""
from functools import partial

from genpercept_mm.models.backbones.sd_unet import LORA_TARGETS
from genpercept_mm.models.heads.dpt_decode_head import DPTDecodeHead
from genpercept_mm.models.utils.arch_detection import part_shapes
from genpercept_mm.models.utils.sd_archs import resolve_arch
from genpercept_mm.registry import CODECS
from genpercept_mm.utils.finite import is_finite, not_finite

from .lora import lora_ranks

# Beginnings of names: layers of a U-Net that only a predicted latent needs,
# and the half of a VAE that a head holds
LATENT_LAYERS = ('conv_norm_out.', 'conv_out.')
VAE_DECODER = ('decoder.', 'post_quant_conv.')


def split_off(state, beginnings):
    """Split a state dict by the beginnings of its names.

    Returns two dicts: the tensors whose names begin with one of
    ``beginnings`` (``LATENT_LAYERS`` or ``VAE_DECODER``), and the others.
    """
    parts = {}, {}
    for key, value in state.items():
        parts[not key.startswith(beginnings)][key] = value
    return parts


def find_misfits(part, given, expected):
    """List a phrase for each tensor of a part that does not fit.

    ``given`` has a tensor for each name, ``expected`` a shape. Values that
    are NaN or infinite, as in damaged files, do not fit.
    """
    return [
        *(f'{part}: {key} is missing' for key in expected if key not in given),
        *(f'{part}: {key} has no place' for key in given
          if key not in expected),
        *(f'{part}: {key} is {tuple(given[key].shape)}, must be {shape}'
          for key, shape in expected.items()
          if key in given and tuple(given[key].shape) != shape),
        *(f'{part}: {key} has values that are NaN or infinite'
          for key in not_finite(given))]


def join_parts(unet, vae, prompt_embeds, dpt_head=None):
    """Make the state dict (fp32) of a `DenseEstimator` from its parts.

    Tensors that are fp32 already are not copied.
    """
    decoder, encoder = split_off(vae, VAE_DECODER)
    groups = {
        'backbone.unet.': unet,
        'backbone.vae.': encoder,
        'decode_head.vae.': decoder,
        'backbone.': dict(prompt_embeds=prompt_embeds),
        'decode_head.': dpt_head or {}
    }
    return {prefix + key: value.detach().float().contiguous()
            for prefix, group in groups.items()
            for key, value in group.items()}


def split_parts(state_dict):
    """Take the state dict of a `DenseEstimator` apart.

    Returns the parts, see the module (``prompt_embeds`` is None where it is
    missing), and the names of all other tensors.
    """
    groups = {'backbone.unet.': {}, 'backbone.vae.': {},
              'decode_head.vae.': {}, 'decode_head.': {}, '': {}}
    for key, value in state_dict.items():
        prefix = next(p for p in groups if key.startswith(p))
        groups[prefix][key[len(prefix):]] = value
    others, dpt_head = groups[''], groups['decode_head.']
    if 'neck.convs.0.weight' not in dpt_head:
        others.update(
            {'decode_head.' + key: value for key, value in dpt_head.items()})
        dpt_head = None
    parts = dict(
        unet=groups['backbone.unet.'],
        vae={**groups['backbone.vae.'], **groups['decode_head.vae.']},
        prompt_embeds=others.pop('backbone.prompt_embeds', None),
        dpt_head=dpt_head)
    return parts, list(others)


def check_parts(parts, arch, in_channels=None, unknown=()):
    """Compare the parts of a model, see the module, with an architecture.

    A VAE may be without its decoder where there is a DPT head. LoRA matrices
    must be of one rank. ``arch`` and ``in_channels`` are those of `SDUNet`,
    and ``unknown`` are the names of other tensors.

    Raises:
        ValueError: If tensors are missing, unknown or of another shape; the
            message names all of them.
    """
    from diffusers import AutoencoderKL
    unet_config, vae_config = resolve_arch(arch, 'check_parts', in_channels)
    ranks, dpt_head = lora_ranks(parts['unet']), parts['dpt_head']
    unet = part_shapes(partial(_build_unet, ranks), unet_config)
    vae = part_shapes(AutoencoderKL, vae_config)
    misfits = []
    if dpt_head is not None:
        unet = split_off(unet, LATENT_LAYERS)[1]
        if not split_off(parts['vae'], VAE_DECODER)[0]:
            vae = split_off(vae, VAE_DECODER)[1]
        options = dpt_options(dpt_head, unet_config['block_out_channels'])
        misfits += find_misfits('dpt_head', dpt_head, part_shapes(
            DPTDecodeHead,
            dict(options, codec=dict(type='genpercept_mm.MatteCodec'))))
    misfits += find_misfits('unet', parts['unet'], unet)
    misfits += find_misfits('vae', parts['vae'], vae)
    misfits += [f'{key} has no place in the layout' for key in unknown]
    prompt_embeds = parts['prompt_embeds']
    width = unet_config['cross_attention_dim']
    if prompt_embeds is None:
        misfits.append('prompt_embeds is missing')
    elif prompt_embeds.dim() != 3 or prompt_embeds.shape[::2] != (1, width):
        misfits.append(
            f'prompt_embeds: {tuple(prompt_embeds.shape)}, must be (1, L, '
            f'{width}); use the text encoder that belongs to the U-Net')
    elif not is_finite(prompt_embeds):
        misfits.append('prompt_embeds has values that are NaN or infinite; '
                       'the text encoder is damaged')
    if misfits:
        name = arch if isinstance(arch, str) else 'of config.json'
        raise ValueError(
            f'{len(misfits)} tensors do not fit the architecture {name}:\n  '
            + '\n  '.join(misfits))


def _build_unet(ranks, **config):
    from diffusers import UNet2DConditionModel
    model = UNet2DConditionModel(**config)
    if ranks:
        from peft import LoraConfig
        model.add_adapter(LoraConfig(r=ranks[0], target_modules=LORA_TARGETS))
    return model


def dpt_options(dpt_head, widths):
    """Read the arguments of `DPTDecodeHead` off its weights.

    ``widths`` are the channels of the U-Net's blocks. Raises a ValueError if
    tensors are missing, or if the head has several outputs.
    """
    try:
        channels, head_channels, outputs = (
            len(dpt_head[f'{layer}.weight']) for layer in (
                'neck.convs.0', 'head.head.2', 'head.head.4'))
    except KeyError as error:
        raise ValueError(f'The DPT head lacks {error}; expected the file '
                         'dpt_head_identity/model.safetensors.') from error
    if outputs != 1:
        raise ValueError(f'The DPT head has {outputs} outputs; only one is '
                         'supported, as in the release.')
    return dict(
        in_channels=tuple(widths),
        channels=channels,
        head_channels=head_channels)


def model_config(state_dict, arch, codec):
    """Write the config of the model that a state dict belongs to.

    ``state_dict`` comes from `join_parts`, ``arch`` is that of `SDUNet`, and
    ``codec`` is the config of what the model predicts. Returns the ``model``
    of a config: a `DenseEstimator` that sees whole images unpadded, as the
    official pipelines do (in batches of one). Raises a ValueError if the codec
    does not fit the head.
    """
    widths = resolve_arch(arch, 'model_config')[0]['block_out_channels']
    backbone = dict(
        type='genpercept_mm.SDUNet', arch=arch, out_indices=(len(widths), ))
    head = dict(
        type='genpercept_mm.VAEDecodeHead', arch=arch, codec=dict(codec))
    dpt_head = split_parts(state_dict)[0]['dpt_head']
    if dpt_head is not None:
        channels = CODECS.build(codec).channels
        if channels != 1:
            raise ValueError(
                f'A DPT head has one output, and {codec["type"]} needs '
                f'{channels}; name the task that the head was trained for.')
        backbone['out_indices'] = tuple(range(len(widths)))
        head = dict(
            type='genpercept_mm.DPTDecodeHead',
            codec=dict(codec),
            **dpt_options(dpt_head, widths))
    ranks = lora_ranks(state_dict)
    if ranks:
        backbone['lora_rank'] = ranks[0]
    return dict(
        type='genpercept_mm.DenseEstimator',
        data_preprocessor=dict(
            type='genpercept_mm.OneStepDataPreprocessor', size_divisor=1),
        backbone=backbone,
        decode_head=head)
