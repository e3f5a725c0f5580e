"""State dicts of our models, in parts and whole.

The parts of a `DenseEstimator`, which every family of weights has in some
form, are a dict of:

- ``unet``: tensors of ``UNet2DConditionModel``
- ``vae``: tensors of ``AutoencoderKL``
- ``prompt_embeds``: the embedded prompt, (1, L, D)
- ``dpt_head``: tensors of a `DPTDecodeHead`; None with a `VAEDecodeHead`
"""
import torch

from genpercept_mm.models.backbones.sd_unet import LORA_TARGETS
from genpercept_mm.models.heads.dpt_decode_head import DPTDecodeHead
from genpercept_mm.models.utils.arch_detection import part_shapes
from genpercept_mm.models.utils.sd_archs import resolve_arch
from genpercept_mm.registry import CODECS

from .fit_report import FitReport
from .lora import lora_ranks

# Layers of a U-Net that only a predicted latent needs
_LATENT_LAYERS = ('conv_norm_out.', 'conv_out.')
_VAE_DECODER = ('decoder.', 'post_quant_conv.')


def vae_decoder(vae):
    """Take the decoder out of a VAE.

    Args:
        vae (dict[str, Tensor]): Weights of ``AutoencoderKL``.

    Returns:
        tuple[dict, dict]: The decoder's tensors and the others, under their
        names.
    """
    decoder = {key: value for key, value in vae.items()
               if key.startswith(_VAE_DECODER)}
    return decoder, {key: value for key, value in vae.items()
                     if key not in decoder}


def latent_layers(unet):
    """Take the output layers out of a U-Net, which a DPT head does not need.

    Args:
        unet (dict[str, Tensor]): Weights of ``UNet2DConditionModel``.

    Returns:
        tuple[dict, dict]: The output layers' tensors and the others, under
        their names.
    """
    last = {key: value for key, value in unet.items()
            if key.startswith(_LATENT_LAYERS)}
    return last, {key: value for key, value in unet.items()
                  if key not in last}


def join_parts(unet, vae, prompt_embeds, dpt_head=None):
    """Make the state dict of a `DenseEstimator`.

    Args:
        unet (dict[str, Tensor]): See the module.
        vae (dict[str, Tensor]): See the module.
        prompt_embeds (Tensor): (1, L, D).
        dpt_head (dict[str, Tensor], optional): See the module. Defaults to
            None.

    Returns:
        dict[str, Tensor]: fp32; tensors of that type are not copied.
    """
    decoder, encoder = vae_decoder(vae)
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

    Args:
        state_dict (dict[str, Tensor]): Weights with a `VAEDecodeHead` or a
            `DPTDecodeHead`.

    Returns:
        tuple[dict, list[str]]: The parts, see the module (``prompt_embeds``
        is None where it is missing), and the names of all other tensors.
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
    prompt_embeds = others.pop('backbone.prompt_embeds', None)
    parts = dict(
        unet=groups['backbone.unet.'],
        vae={**groups['backbone.vae.'], **groups['decode_head.vae.']},
        prompt_embeds=prompt_embeds,
        dpt_head=dpt_head)
    return parts, list(others)


def check_parts(parts, arch, in_channels=None, unknown=()):
    """Compare parts with an architecture.

    A VAE may be without its decoder where there is a DPT head. LoRA matrices
    must be of one rank.

    Args:
        parts (dict): See the module.
        arch (str | dict): See `SDUNet`.
        in_channels (int, optional): See `SDUNet`. Defaults to None.
        unknown (Sequence[str]): Further tensors, which have no place.
            Defaults to ().

    Raises:
        ValueError: If tensors are missing, unknown or of another shape, all
            of which are named.
    """
    from diffusers import AutoencoderKL
    unet_config, vae_config = resolve_arch(arch, 'check_parts', in_channels)
    ranks, dpt_head = lora_ranks(parts['unet']), parts['dpt_head']
    unet = _unet_shapes(unet_config, ranks[0] if ranks else 0)
    vae = part_shapes(AutoencoderKL, vae_config)
    report = FitReport()
    if dpt_head is not None:
        _, unet = latent_layers(unet)
        if not vae_decoder(parts['vae'])[0]:
            _, vae = vae_decoder(vae)
        options = dpt_options(dpt_head, unet_config['block_out_channels'])
        report.compare('dpt_head', dpt_head, _dpt_shapes(options))
    report.compare('unet', parts['unet'], unet)
    report.compare('vae', parts['vae'], vae)
    report.problems += [f'{key} has no place in the layout'
                        for key in unknown]
    prompt_embeds = parts['prompt_embeds']
    width = unet_config['cross_attention_dim']
    if prompt_embeds is None:
        report.problems.append('prompt_embeds is missing')
    elif prompt_embeds.dim() != 3 or prompt_embeds.shape[::2] != (1, width):
        report.problems.append(
            f'prompt_embeds: {tuple(prompt_embeds.shape)}, must be (1, L, '
            f'{width}); use the text encoder that belongs to the U-Net')
    report.close(arch)


def dpt_options(dpt_head, widths):
    """Read the arguments of `DPTDecodeHead` off a state dict.

    Args:
        dpt_head (dict[str, Tensor]): Weights of the head.
        widths (Sequence[int]): Channels of the U-Net's blocks.

    Returns:
        dict: ``in_channels``, ``channels`` and ``head_channels``.

    Raises:
        ValueError: If tensors are missing, or the head has several outputs.
    """
    try:
        channels = len(dpt_head['neck.convs.0.weight'])
        head_channels = len(dpt_head['head.head.2.weight'])
        outputs = len(dpt_head['head.head.4.weight'])
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

    Args:
        state_dict (dict[str, Tensor]): From `join_parts`.
        arch (str | dict): See `SDUNet`.
        codec (dict): What the model predicts.

    Returns:
        dict: The ``model`` of a config: a `DenseEstimator` that sees whole
        images unpadded, as the official pipelines do (batches of one).

    Raises:
        ValueError: If the codec does not fit the head.
    """
    widths = resolve_arch(arch, 'model_config')[0]['block_out_channels']
    backbone = dict(
        type='genpercept_mm.SDUNet', arch=arch, out_indices=(len(widths), ))
    head = dict(
        type='genpercept_mm.VAEDecodeHead', arch=arch, codec=dict(codec))
    if not any(key.startswith('decode_head.vae.') for key in state_dict):
        channels = CODECS.build(codec).channels
        if channels != 1:
            raise ValueError(
                f'A DPT head has one output, and {codec["type"]} needs '
                f'{channels}; name the task that the head was trained for.')
        own = {key.removeprefix('decode_head.'): value
               for key, value in state_dict.items()}
        backbone['out_indices'] = tuple(range(len(widths)))
        head = dict(
            type='genpercept_mm.DPTDecodeHead',
            codec=dict(codec),
            **dpt_options(own, widths))
    ranks = lora_ranks(state_dict)
    if ranks:
        backbone['lora_rank'] = ranks[0]
    return dict(
        type='genpercept_mm.DenseEstimator',
        data_preprocessor=dict(
            type='genpercept_mm.OneStepDataPreprocessor', size_divisor=1),
        backbone=backbone,
        decode_head=head)


def _unet_shapes(config, lora_rank):
    from diffusers import UNet2DConditionModel
    if not lora_rank:
        return part_shapes(UNet2DConditionModel, config)
    from peft import LoraConfig
    with torch.device('meta'):
        model = UNet2DConditionModel(**config)
        model.add_adapter(
            LoraConfig(r=lora_rank, target_modules=LORA_TARGETS))
    return _shapes(model)


def _dpt_shapes(options):
    codec = dict(type='genpercept_mm.MatteCodec')
    with torch.device('meta'):
        return _shapes(DPTDecodeHead(codec=codec, **options))


def _shapes(model):
    return {key: tuple(value.shape)
            for key, value in model.state_dict().items()}
