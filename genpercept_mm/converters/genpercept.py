"""Weights of the official GenPercept code, from and to its layouts."""
from .layout import (
    check_parts,
    join_parts,
    latent_layers,
    split_parts,
    vae_decoder,
)
from .layout import model_config as config_of
from .lora import lora_ranks, merge_lora

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


def to_mm(unet, vae, prompt_embeds, arch, dpt_head=None, keep_lora=False):
    """Make the state dict of a `DenseEstimator` from official weights.

    With ``dpt_head`` the head is a `DPTDecodeHead`, otherwise a
    `VAEDecodeHead`.

    Args:
        unet (dict[str, Tensor]): Weights of ``UNet2DConditionModel``, with
            or without peft's names.
        vae (dict[str, Tensor]): Weights of ``AutoencoderKL``; the decoder
            may be missing with a DPT head.
        prompt_embeds (Tensor): (1, L, D).
        arch (str | dict): See `SDUNet`.
        dpt_head (dict[str, Tensor], optional): Weights of the official
            ``dpt_head_identity``. Defaults to None.
        keep_lora (bool): Keep LoRA matrices apart, for
            ``SDUNet(lora_rank=...)``. Defaults to False (merged).

    Returns:
        tuple[dict[str, Tensor], list[str]]: The state dict in fp32, whose
        tensors are not copied where they are fp32 already, and a sentence
        for each group of tensors that it leaves out on purpose.

    Raises:
        ValueError: If tensors are missing, unknown or of another shape, all
            of which are named, or if the U-Net is of another method.
    """
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
    if dpt_head is not None:
        unused, unet = latent_layers(unet)
        decoder, vae = vae_decoder(vae)
        if unused:
            notes.append(f'unet: {", ".join(unused)} are left out; with a '
                         'DPT head no latent is predicted')
        if decoder:
            notes.append(f'vae: {len(decoder)} tensors of the decoder are '
                         'left out; the DPT head takes its place')
    parts = dict(unet=unet, vae=vae, prompt_embeds=prompt_embeds,
                 dpt_head=dpt_head)
    check_parts(parts, arch)
    return join_parts(**parts), notes


def from_mm(state_dict, arch, base_vae=None, keep_lora=False):
    """Take the state dict of a `DenseEstimator` apart.

    Args:
        state_dict (dict[str, Tensor]): Weights with a `VAEDecodeHead` or a
            `DPTDecodeHead`.
        arch (str | dict): See `SDUNet`.
        base_vae (dict[str, Tensor], optional): Brings the VAE's decoder,
            which a model with a DPT head does not have. Defaults to None
            (only the encoder is given then).
        keep_lora (bool): Keep LoRA matrices apart, with peft's names.
            Defaults to False (merged).

    Returns:
        dict: State dicts ``unet`` and ``vae``, tensor ``prompt_embeds``
        (1, L, D), and ``dpt_head`` (None for a `VAEDecodeHead`).

    Raises:
        ValueError: If tensors are missing, unknown or of another shape, all
            of which are named, or if the U-Net is of another method.
    """
    parts, unknown = split_parts(state_dict)
    _refuse_noise_input(parts['unet'])
    if not keep_lora:
        parts['unet'] = merge_lora(parts['unet'])
    if parts['dpt_head'] is not None and base_vae:
        parts['vae'].update(vae_decoder(base_vae)[0])
    check_parts(parts, arch, unknown=unknown)
    return parts


def replace_vae_decoder(vae, decoder, post_quant_conv):
    """Put a trained decoder into a VAE.

    Args:
        vae (dict[str, Tensor]): Weights of ``AutoencoderKL``.
        decoder (dict[str, Tensor]): Weights without the prefix
            ``decoder.``.
        post_quant_conv (dict[str, Tensor]): ``weight`` and ``bias``.

    Returns:
        dict[str, Tensor]: A new VAE.
    """
    _, new = vae_decoder(vae)
    new.update({'decoder.' + k: v for k, v in decoder.items()})
    new.update({'post_quant_conv.' + k: v
                for k, v in post_quant_conv.items()})
    return new


def model_config(state_dict, arch, task):
    """Write the config of the model that a state dict belongs to.

    Args:
        state_dict (dict[str, Tensor]): From `to_mm`.
        arch (str | dict): See `SDUNet`.
        task (str): A key of ``TASKS``.

    Returns:
        dict: The ``model`` of a config, see `layout.model_config`.

    Raises:
        ValueError: If the task does not fit the head.
    """
    return config_of(state_dict, arch, TASKS[task])


def _refuse_noise_input(unet):
    conv_in = unet.get('conv_in.weight')
    if conv_in is not None and conv_in.dim() == 4 and conv_in.shape[1] == 8:
        raise ValueError(
            'This U-Net takes 8 input channels, image and noise latents: it '
            'is a Marigold model (steps from noise), not GenPercept. '
            'tools/model_converters/marigold2mm.py converts folders of such '
            'models; the GenPercept layout has no place for them.')
