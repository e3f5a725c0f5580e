"""Weights of the official GenPercept code, from and to its layouts."""
from .layout import (
    LATENT_LAYERS,
    VAE_DECODER,
    check_parts,
    join_parts,
    split_off,
    split_parts,
)
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
            ``SDUNet(lora_rank=...)``. Defaults to False, which merges them.

    Returns:
        tuple[dict[str, Tensor], list[str]]: The state dict in fp32, whose
        tensors are not copied where they are fp32 already, and a sentence
        for each group of tensors that it leaves out on purpose.

    Raises:
        ValueError: If tensors are missing, unknown or of another shape (the
            message names all of them), or if the U-Net is a Marigold model.
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
        unused, unet = split_off(unet, LATENT_LAYERS)
        decoder, vae = split_off(vae, VAE_DECODER)
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
    """Undo `to_mm`.

    Args:
        state_dict (dict[str, Tensor]): Weights with a `VAEDecodeHead` or a
            `DPTDecodeHead`.
        arch (str | dict): See `SDUNet`.
        base_vae (dict[str, Tensor], optional): A VAE whose decoder goes with
            a DPT head. Defaults to None, which gives the encoder alone then.
        keep_lora (bool): Keep LoRA matrices apart, with peft's names.
            Defaults to False, which merges them.

    Returns:
        dict: The parts, see `converters.layout`.

    Raises:
        ValueError: See `to_mm`.
    """
    parts, unknown = split_parts(state_dict)
    _refuse_noise_input(parts['unet'])
    if not keep_lora:
        parts['unet'] = merge_lora(parts['unet'])
    if parts['dpt_head'] is not None and base_vae:
        parts['vae'].update(split_off(base_vae, VAE_DECODER)[0])
    check_parts(parts, arch, unknown=unknown)
    return parts


def replace_vae_decoder(vae, decoder, post_quant_conv):
    """Return a VAE with a decoder whose weights are stored apart."""
    return {**split_off(vae, VAE_DECODER)[1],
            **{f'decoder.{key}': value for key, value in decoder.items()},
            **{f'post_quant_conv.{key}': value
               for key, value in post_quant_conv.items()}}


def _refuse_noise_input(unet):
    conv_in = unet.get('conv_in.weight')
    if conv_in is not None and conv_in.dim() == 4 and conv_in.shape[1] == 8:
        raise ValueError(
            'This U-Net has 8 input channels, for the latents of image and '
            'noise: it is a Marigold model, not a GenPercept model. Convert '
            'folders of such models with tools/model_converters/'
            'marigold2mm.py; the GenPercept layout has no place for them.')
