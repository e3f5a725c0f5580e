"""Small autoencoders of TAESD's architecture."""
import os.path as osp

import torch
from torch.utils.checkpoint import checkpoint

from genpercept_mm.utils.arguments import check_choice

from .diffusers_folder import local_file, read_file, read_part
from .pretrained_parts import load_part

# Fields of diffusers' AutoencoderTiny: TAESD of Stable Diffusion, whose
# encoder has 1,222,532 parameters and whose decoder has 1,222,531
# (github.com/madebyollin/taesd), and one for arch 'mini'
TINY_ARCHS = {
    'taesd': dict(),
    'taesd_mini': dict(
        encoder_block_out_channels=(16, ) * 4,
        decoder_block_out_channels=(16, ) * 4,
        num_encoder_blocks=(0, 1, 2, 3),
        num_decoder_blocks=(3, 2, 1, 0)),
}
# Pixels of a latent cell along each axis
STRIDE = 8


def build_tiny(arch, side, owner):
    """Build one side of a small autoencoder.

    Args:
        arch (str): Key of ``TINY_ARCHS``.
        side (str): ``'encoder'`` or ``'decoder'``; the other one is left out.
        owner (str): Class to name in errors.

    Returns:
        AutoencoderTiny: diffusers' model. Its latents are in the units of the
        U-Net (0.18215 times those of Stable Diffusion's VAE).

    Raises:
        ValueError: If ``arch`` is unknown.
    """
    check_choice(owner, 'arch of a small autoencoder', arch, tuple(TINY_ARCHS))
    # diffusers takes seconds to import
    from diffusers import AutoencoderTiny
    model = AutoencoderTiny(**TINY_ARCHS[arch])
    delattr(model, 'decoder' if side == 'encoder' else 'encoder')
    return model


def encode_tiny(model, images, with_cp=False):
    """Encode images (N, 3, H, W) in [-1, 1] into latents (N, 4, h, w) in the
    units of the U-Net, with h = ceil(H / 8) and w = ceil(W / 8)."""
    # EncoderTiny.forward leaves out this step under gradient checkpointing
    scaled = images.add(1).div(2)
    if with_cp and torch.is_grad_enabled():
        return checkpoint(model.encoder.layers, scaled, use_reentrant=False)
    return model.encoder.layers(scaled)


def load_tiny(module, source, side):
    """Load weights into ``module.vae``, one side of a small autoencoder.

    Args:
        module (nn.Module): With ``vae`` from `build_tiny`.
        source (str): A folder that diffusers saved, a hub id such as
            ``'madebyollin/taesd'``, or a file (``.pth`` of TAESD's own
            repository, whose layers are counted differently, and checkpoints
            of a `TinyAutoencoderDistiller`), here or on the hub
            (``'owner/name/file'``).
        side (str): ``'encoder'`` or ``'decoder'``.

    Raises:
        OSError: If a file cannot be found or read.
        RuntimeError: If tensors are missing or have another shape.
    """
    owner = type(module).__name__
    load_part(module.vae, _read(source, side, owner),
              f'{owner}: the small {side} of {source!r}')


def _download(repo, owner):
    from huggingface_hub import snapshot_download
    try:
        return snapshot_download(repo, allow_patterns=[
            'config.json', 'diffusion_pytorch_model.safetensors'])
    except OSError as error:
        raise OSError(
            f'{owner}: cannot download {repo!r}: {str(error).rstrip(".")}. '
            f'On a machine with network: hf download {repo}') from error


def _read(source, side, owner):
    source = osp.expanduser(source)
    if osp.isdir(source):
        return read_part(source)
    is_file = osp.splitext(source)[1] in ('.pth', '.pt', '.safetensors')
    if source.count('/') == 1 and source[0] not in './' and not is_file:
        return read_part(_download(source, owner))
    state = read_file(local_file(source, owner))
    if any(f'{side}.layers.' in key for key in state):
        # of diffusers, or of a TinyAutoencoderDistiller
        return {key.removeprefix('small.'): value
                for key, value in state.items()}
    # upstream's decoder begins with a layer without weights, the clamp
    shift = 0 if side == 'encoder' else -1
    renamed = {}
    for key, value in state.items():
        index, _, rest = key.partition('.')
        if index.isdigit():
            renamed[f'{side}.layers.{int(index) + shift}.{rest}'] = value
    return renamed
