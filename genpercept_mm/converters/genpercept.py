"""State dicts of the official code and of this package, into each other."""
import inspect
import re

import torch

from genpercept_mm.registry import CODECS

from .heads.dpt_decode_head import DPTDecodeHead
from .utils.sd_archs import ARCHS, resolve_arch

# Codecs of the official tasks
TASKS = {
    'depth': dict(type='genpercept_mm.AffineDepthCodec', space='depth'),
    'disparity': dict(
        type='genpercept_mm.AffineDepthCodec', space='disparity'),
    'normal': dict(type='genpercept_mm.NormalCodec'),
    'dis': dict(type='genpercept_mm.MatteCodec'),
    'matting': dict(type='genpercept_mm.MatteCodec'),
    'seg': dict(type='genpercept_mm.ColormapCodec')
}
# Fields of config.json that leave the result of one pass as it is
_IDLE_FIELDS = ('sample_size', 'force_upcast')
# What the official DPT variant deletes from its U-Net
_LATENT_LAYERS = ('conv_norm_out.', 'conv_out.')
_VAE_DECODER = ('decoder.', 'post_quant_conv.')
_OLD_ATTENTION = dict(
    query='to_q', key='to_k', value='to_v', proj_attn='to_out.0')


def modernize_vae(vae):
    """Give the attention of a VAE its current names and shapes.

    diffusers renamed ``query key value proj_attn`` to ``to_q to_k to_v
    to_out.0``; the original Stable Diffusion files have 1 x 1 convolutions
    there.

    Args:
        vae (dict[str, Tensor]): Of ``AutoencoderKL`` or one of its parts.

    Returns:
        dict[str, Tensor]: The same tensors, renamed, linear weights (C, C).
    """
    new = {}
    for key, value in vae.items():
        match = re.fullmatch(
            r'(.*\battentions\.\d+\.)(\w+)\.(weight|bias)', key)
        if match and match[2] in _OLD_ATTENTION:
            key = f'{match[1]}{_OLD_ATTENTION[match[2]]}.{match[3]}'
        if re.search(r'\battentions\.\d+\.to_\w+(\.0)?\.weight', key):
            if value.dim() == 4:
                value = value.flatten(1)
        new[key] = value
    return new


def replace_vae_decoder(vae, decoder, post_quant_conv):
    """Put a trained decoder into a VAE.

    Args:
        vae (dict[str, Tensor]): Of ``AutoencoderKL``.
        decoder (dict[str, Tensor]): Without the prefix ``decoder.``.
        post_quant_conv (dict[str, Tensor]): ``weight`` and ``bias``.

    Returns:
        dict[str, Tensor]: A new one.
    """
    new = {key: value for key, value in vae.items()
           if not key.startswith(_VAE_DECODER)}
    new.update({'decoder.' + k: v for k, v in decoder.items()})
    new.update({'post_quant_conv.' + k: v
                for k, v in post_quant_conv.items()})
    return new


def lora_ranks(unet):
    """List the ranks of the LoRA matrices.

    Args:
        unet (dict[str, Tensor]): With peft's names.

    Returns:
        list[int]: Sorted, each rank once; empty without LoRA.
    """
    return sorted({len(value) for key, value in unet.items()
                   if key.endswith('.lora_A.default.weight')})


def merge_lora(unet):
    """Add LoRA products to their base weights.

    The scale is 1: alpha equals the rank, officially and in `SDUNet`.

    Args:
        unet (dict[str, Tensor]): With peft's names: ``base_layer``,
            ``lora_A.default`` (r, in) and ``lora_B.default`` (out, r).

    Returns:
        dict[str, Tensor]: With plain names, ``base + B @ A``.

    Raises:
        ValueError: If a pair or its base weight is not complete.
    """
    merged = {key.replace('.base_layer.', '.'): value
              for key, value in unet.items() if '.lora_' not in key}
    names = {re.sub(r'\.lora_[AB]\.default\.weight$', '', key)
             for key in unet if '.lora_' in key}
    for name in sorted(names):
        parts = [f'{name}.{part}.weight' for part in (
            'base_layer', 'lora_A.default', 'lora_B.default')]
        lacking = [part for part in parts if part not in unet]
        if lacking:
            raise ValueError(
                f'The LoRA matrices of {name} lack {lacking}; expected '
                'those of one peft adapter named default.')
        base, low, high = (unet[part].float() for part in parts)
        merged[f'{name}.weight'] = base + high @ low
    return merged


def _shapes(state):
    return {key: tuple(value.shape) for key, value in state.items()}


def _part_shapes(cls, config):
    with torch.device('meta'):
        return _shapes(cls(**config).state_dict())


def _effective(cls, config):
    """All fields that matter, written out and comparable."""
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
    # Those that `SDUNet` reads stay whatever they are
    kept = ('block_out_channels', 'cross_attention_dim')
    defaults = _effective(cls, {})
    given = _effective(cls, config)
    return {key: list(value) if isinstance(value, (list, tuple)) else value
            for key, value in config.items() if key in given
            and (key in kept or given[key] != defaults[key])}


def detect_arch(unet, vae, unet_config=None, vae_config=None):
    """Find the architecture of weights.

    Args:
        unet (dict[str, Tensor]): Only shapes are read.
        vae (dict[str, Tensor]): Only shapes are read.
        unet_config (dict, optional): The ``config.json`` beside the weights.
            Defaults to None.
        vae_config (dict, optional): Likewise. Defaults to None (with either
            missing, the shapes must be those of a name in ``ARCHS``).

    Returns:
        str | dict: A name in ``ARCHS`` if it fits, otherwise what
        `resolve_arch` takes.

    Raises:
        ValueError: If neither configs nor shapes tell, or the U-Net is of
            another method.
    """
    _refuse_noise_input(unet)
    from diffusers import AutoencoderKL, UNet2DConditionModel
    if unet_config is not None and vae_config is not None:
        given = (_effective(UNet2DConditionModel, unet_config),
                 _effective(AutoencoderKL, vae_config))
        for name, arch in ARCHS.items():
            if given == (_effective(UNet2DConditionModel, arch['unet']),
                         _effective(AutoencoderKL, arch['vae'])):
                return name
        arch = dict(
            unet=_without_defaults(UNet2DConditionModel, unet_config),
            vae=_without_defaults(AutoencoderKL, vae_config))
        resolve_arch(arch, 'detect_arch')
        return arch
    plain = {key.replace('.base_layer.', '.'): value
             for key, value in unet.items() if '.lora_' not in key}
    own = _shapes(plain), _shapes(modernize_vae(vae))
    for name, arch in ARCHS.items():
        named = (_part_shapes(UNet2DConditionModel, arch['unet']),
                 _part_shapes(AutoencoderKL, arch['vae']))
        # What is missing or has no place is not for here to judge
        if all(given and all(given[key] == shapes[key] for key in given
                             if key in shapes)
               for given, shapes in zip(own, named)):
            return name
    raise ValueError(
        f'The weights have the shapes of none of {sorted(ARCHS)}, and no '
        'config tells their architecture; give the config.json of U-Net and '
        'VAE beside official weights, the config of a model of ours.')


class _Report:
    """Collects what does not fit, to name all of it at once."""

    def __init__(self):
        self.problems = []

    def compare(self, part, given, expected):
        for problem, keys in (
                ('is missing', [k for k in expected if k not in given]),
                ('has no place', [k for k in given if k not in expected])):
            self.problems += [f'{part}: {key} {problem}' for key in keys]
        self.problems += [
            f'{part}: {key} is {tuple(given[key].shape)}, must be {shape}'
            for key, shape in expected.items()
            if key in given and tuple(given[key].shape) != shape]

    def close(self, arch):
        if self.problems:
            raise ValueError(
                f'{len(self.problems)} tensors do not fit the architecture '
                f'{arch if isinstance(arch, str) else "of config.json"}:\n  '
                + '\n  '.join(self.problems))


def _expected(arch, dpt, lora_rank=0, in_channels=None):
    """Shapes of every part that a model of ours, or a folder, has."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    unet_config, vae_config = resolve_arch(
        arch, 'released_weights', in_channels)
    with torch.device('meta'):
        model = UNet2DConditionModel(**unet_config)
        if lora_rank:
            from peft import LoraConfig

            from .backbones.sd_unet import LORA_TARGETS
            model.add_adapter(
                LoraConfig(r=lora_rank, target_modules=LORA_TARGETS))
    unet = _shapes(model.state_dict())
    vae = _part_shapes(AutoencoderKL, vae_config)
    if dpt:
        unet = {k: v for k, v in unet.items()
                if not k.startswith(_LATENT_LAYERS)}
    return unet, vae, unet_config


def _head_options(dpt_head, widths):
    """Arguments of `DPTDecodeHead` for a state dict."""
    try:
        channels = len(dpt_head['neck.convs.0.weight'])
        head_channels = len(dpt_head['head.head.2.weight'])
        outputs = len(dpt_head['head.head.4.weight'])
    except KeyError as error:
        raise ValueError(f'The DPT head lacks {error}; expected the file '
                         'dpt_head_identity/model.safetensors.') from error
    if outputs != 1:
        raise ValueError(f'The DPT head has {outputs} outputs; one is '
                         'supported, as released.')
    return dict(
        in_channels=tuple(widths),
        channels=channels,
        head_channels=head_channels)


def _dpt_shapes(options):
    with torch.device('meta'):
        head = DPTDecodeHead(codec=TASKS['depth'], **options)
    return _shapes(head.state_dict())


def _refuse_noise_input(unet):
    conv_in = unet.get('conv_in.weight')
    if conv_in is not None and conv_in.dim() == 4 and conv_in.shape[1] == 8:
        raise ValueError(
            'This U-Net takes 8 input channels, image and noise latents: it '
            'is a Marigold model (steps from noise), not GenPercept. '
            'tools/model_converters/marigold2mm.py converts folders of such '
            'models; the GenPercept layout has no place for them.')


def to_mm(unet,
          vae,
          prompt_embeds,
          arch,
          dpt_head=None,
          keep_lora=False,
          in_channels=None):
    """Make the state dict of a `DenseEstimator` from official weights.

    With ``dpt_head`` the head is a `DPTDecodeHead`, otherwise a
    `VAEDecodeHead`. Tensors come out in fp32; those of that type are not
    copied.

    Args:
        unet (dict[str, Tensor]): Of ``UNet2DConditionModel``, with or
            without peft's names.
        vae (dict[str, Tensor]): Of ``AutoencoderKL``; the decoder may be
            missing with a DPT head.
        prompt_embeds (Tensor): (1, L, D).
        arch (str | dict): As of `SDUNet`.
        dpt_head (dict[str, Tensor], optional): Of the official
            ``dpt_head_identity``. Defaults to None.
        keep_lora (bool): Keep LoRA matrices apart, for
            ``SDUNet(lora_rank=...)``. Defaults to False (merged).
        in_channels (int, optional): As of `SDUNet`: 8 for Marigold. Defaults
            to None (one latent, as in GenPercept).

    Returns:
        tuple[dict[str, Tensor], list[str]]: The state dict, and a sentence
        for each group of tensors that it leaves out on purpose.

    Raises:
        ValueError: If tensors are missing, unknown or of another shape, all
            of which are named, or if the U-Net is of another method.
    """
    if in_channels is None:
        _refuse_noise_input(unet)
    notes = []
    ranks = lora_ranks(unet)
    if not keep_lora:
        unet = merge_lora(unet)
        if ranks:
            notes.append(f'LoRA matrices of rank {ranks} are merged into '
                         'the weights')
    elif len(ranks) != 1:
        raise ValueError('SDUNet has one LoRA rank, the weights have '
                         f'{ranks or "none"}; do not keep LoRA apart.')
    vae = modernize_vae(vae)
    unet_shapes, vae_shapes, config = _expected(
        arch, dpt_head is not None, ranks[0] if keep_lora else 0, in_channels)
    if dpt_head is not None:
        unused = [k for k in unet if k.startswith(_LATENT_LAYERS)]
        decoder = [k for k in vae if k.startswith(_VAE_DECODER)]
        if unused:
            notes.append(f'unet: {", ".join(unused)} are left out; with a '
                         'DPT head no latent is predicted')
        if decoder:
            notes.append(f'vae: {len(decoder)} tensors of the decoder are '
                         'left out; the DPT head takes its place')
        unet = {k: v for k, v in unet.items() if k not in unused}
        vae = {k: v for k, v in vae.items() if k not in decoder}
        vae_shapes = {k: v for k, v in vae_shapes.items()
                      if not k.startswith(_VAE_DECODER)}

    report = _Report()
    report.compare('unet', unet, unet_shapes)
    report.compare('vae', vae, vae_shapes)
    if dpt_head is not None:
        options = _head_options(dpt_head, config['block_out_channels'])
        report.compare('dpt_head', dpt_head, _dpt_shapes(options))
    if prompt_embeds.dim() != 3 or prompt_embeds.shape[::2] != (
            1, config['cross_attention_dim']):
        report.problems.append(
            f'prompt_embeds: {tuple(prompt_embeds.shape)}, must be (1, L, '
            f'{config["cross_attention_dim"]}); use the text encoder that '
            'belongs to the U-Net')
    report.close(arch)

    state = {'backbone.unet.' + k: v for k, v in unet.items()}
    for key, value in vae.items():
        part = 'decode_head' if key.startswith(_VAE_DECODER) else 'backbone'
        state[f'{part}.vae.{key}'] = value
    state['backbone.prompt_embeds'] = prompt_embeds
    for key, value in (dpt_head or {}).items():
        state['decode_head.' + key] = value
    return {key: value.detach().float().contiguous()
            for key, value in state.items()}, notes


def from_mm(state_dict, arch, base_vae=None, keep_lora=False):
    """Take the state dict of a `DenseEstimator` apart.

    Args:
        state_dict (dict[str, Tensor]): With a `VAEDecodeHead` or a
            `DPTDecodeHead`.
        arch (str | dict): As of `SDUNet`.
        base_vae (dict[str, Tensor], optional): Brings the VAE's decoder,
            which a model with a DPT head has not. Defaults to None (only
            the encoder is given then).
        keep_lora (bool): Keep LoRA matrices apart, with peft's names.
            Defaults to False (merged).

    Returns:
        dict: State dicts ``unet`` and ``vae``, tensor ``prompt_embeds``
        (1, L, D), and ``dpt_head`` (None for a `VAEDecodeHead`).

    Raises:
        ValueError: If tensors are missing, unknown or of another shape, all
            of which are named, or if the U-Net is of another method.
    """
    groups = {'backbone.unet.': {}, 'backbone.vae.': {},
              'decode_head.vae.': {}, 'decode_head.': {}, '': {}}
    for key, value in state_dict.items():
        prefix = next(p for p in groups if key.startswith(p))
        groups[prefix][key[len(prefix):]] = value
    unet, vae = groups['backbone.unet.'], groups['backbone.vae.']
    dpt_head = groups['decode_head.']
    if 'neck.convs.0.weight' not in dpt_head:
        groups[''].update(
            {'decode_head.' + key: value for key, value in dpt_head.items()})
        dpt_head = None
    _refuse_noise_input(unet)
    prompt_embeds = groups[''].pop('backbone.prompt_embeds', None)
    ranks = lora_ranks(unet)
    if not keep_lora:
        unet = merge_lora(unet)
    unet_shapes, vae_shapes, config = _expected(
        arch, dpt_head is not None, ranks[0] if keep_lora and ranks else 0)

    report = _Report()
    if prompt_embeds is None:
        report.problems.append('backbone.prompt_embeds is missing')
    report.problems += [f'{key} has no place in the official layout'
                        for key in groups['']]
    report.compare('unet', unet, unet_shapes)
    vae = {**vae, **groups['decode_head.vae.']}
    if dpt_head is not None:
        report.compare(
            'dpt_head', dpt_head, _dpt_shapes(
                _head_options(dpt_head, config['block_out_channels'])))
        decoder = {k: v for k, v in modernize_vae(base_vae or {}).items()
                   if k.startswith(_VAE_DECODER)}
        vae.update(decoder)
        if not decoder:
            vae_shapes = {k: v for k, v in vae_shapes.items()
                          if not k.startswith(_VAE_DECODER)}
    report.compare('vae', vae, vae_shapes)
    report.close(arch)
    return dict(
        unet=unet, vae=vae, dpt_head=dpt_head, prompt_embeds=prompt_embeds)


def model_config(state_dict, arch, task):
    """Write the config of the model that a state dict belongs to.

    Args:
        state_dict (dict[str, Tensor]): From `to_mm`.
        arch (str | dict): As of `SDUNet`.
        task (str): A key of ``TASKS``.

    Returns:
        dict: The ``model`` of a config: a `DenseEstimator` that sees whole
        images unpadded, as the official pipeline does (batches of one).

    Raises:
        ValueError: If the task does not fit the head.
    """
    codec = dict(TASKS[task])
    widths = resolve_arch(arch, 'model_config')[0]['block_out_channels']
    backbone = dict(
        type='genpercept_mm.SDUNet', arch=arch, out_indices=(len(widths), ))
    head = dict(type='genpercept_mm.VAEDecodeHead', arch=arch, codec=codec)
    if not any(key.startswith('decode_head.vae.') for key in state_dict):
        own = {key.removeprefix('decode_head.'): value
               for key, value in state_dict.items()}
        backbone['out_indices'] = tuple(range(len(widths)))
        head = dict(
            type='genpercept_mm.DPTDecodeHead',
            codec=codec,
            **_head_options(own, widths))
        if CODECS.build(codec).channels != 1:
            raise ValueError(f'A DPT head with one output predicts no '
                             f'{task}; give the task it was trained for.')
    ranks = lora_ranks(state_dict)
    if ranks:
        backbone['lora_rank'] = ranks[0]
    return dict(
        type='genpercept_mm.DenseEstimator',
        data_preprocessor=dict(
            type='genpercept_mm.OneStepDataPreprocessor', size_divisor=1),
        backbone=backbone,
        decode_head=head)
