"""Embed a prompt, or read an embedded one."""
import os.path as osp

import numpy as np
import torch

from .diffusers_folder import TEXT_PARTS, TEXT_STEMS, find_weights


def embed_prompt(folder, prompt, owner='SDUNet', padded=False):
    """Embed a prompt with the text encoder beside the weights.

    Texts are not padded unless ``padded``, to the length of the text encoder,
    77 tokens: the empty one has two tokens, start and end. If
    ``prompt`` is a sequence of L class names instead, each becomes the end
    token of ``'a photo of a <name>'``. ``folder`` has a ``tokenizer`` and a
    ``text_encoder``, and errors name the class ``owner``. Returns the last
    hidden state after the final norm, (1, L, D) fp32.

    Raises:
        ValueError: If there are no class names.
        OSError: If the text encoder is missing or cannot be read.
    """
    from transformers import CLIPTextModel, CLIPTokenizer
    for part in TEXT_PARTS:
        if not osp.isdir(osp.join(folder, part)):
            raise FileNotFoundError(
                f'{owner}: pretrained={folder!r} has no {part}/, which the '
                'prompt needs; copy it from the Stable Diffusion folder that '
                'the weights came from, or give prompt_embeds, a file with '
                'the embedded prompt.')
    weights = find_weights(osp.join(folder, 'text_encoder'), TEXT_STEMS) or ''
    try:
        tokenizer = CLIPTokenizer.from_pretrained(
            folder, subfolder='tokenizer')
        encoder = CLIPTextModel.from_pretrained(
            folder,
            subfolder='text_encoder',
            variant='fp16' if '.fp16.' in osp.basename(weights) else None
        ).float().eval()
    # transformers, tokenizers and safetensors have errors of many kinds
    except Exception as error:
        raise OSError(
            f'{owner}: tokenizer/ or text_encoder/ of pretrained={folder!r} '
            f'cannot be read ({error}); copy both again.') from error

    def embed(text):
        tokens = tokenizer(
            text,
            padding='max_length' if padded else 'do_not_pad',
            max_length=min(tokenizer.model_max_length,
                           encoder.config.max_position_embeddings),
            truncation=True,
            return_tensors='pt')
        with torch.no_grad():
            return encoder(tokens.input_ids)[0].float()

    if isinstance(prompt, str):
        return embed(prompt)
    if not prompt:
        raise ValueError(f'{owner}: prompt has no class names; give some, or '
                         "'' for the empty prompt.")
    return torch.cat(
        [embed(f'a photo of a {name}')[:, -1:] for name in prompt], dim=1)


def read_prompt_embeds(path, owner='SDUNet'):
    """Read an embedded prompt from a file and return it as (1, L, D) fp32.

    The file is ``.npy``, ``.pt``/``.pth`` or ``.safetensors`` (one tensor) and
    has a shape of (L, D) or (1, L, D). Raises a FileNotFoundError if it does
    not exist, and a ValueError if it has another suffix or shape.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'{owner}: prompt_embeds={path!r} does not exist.')
    suffix = osp.splitext(path)[1]
    if suffix not in _READERS:
        raise ValueError(f'{owner}: prompt_embeds must be a .npy, .pt, .pth '
                         f'or .safetensors file, got {path!r}.')
    try:
        embeds = _READERS[suffix](path)
    # NumPy, pickle, zip and safetensors have errors of many kinds
    except Exception as error:
        raise OSError(f'{owner}: prompt_embeds={path!r} cannot be read '
                      f'({error}); it is truncated, or not such a file.'
                      ) from error
    if isinstance(embeds, dict):
        if len(embeds) != 1:
            raise ValueError(f'{owner}: {path} must hold one tensor, got '
                             f'{sorted(embeds)}.')
        embeds, = embeds.values()
    if isinstance(embeds, np.ndarray) and embeds.dtype.kind == 'f':
        embeds = torch.from_numpy(embeds.astype(np.float32))
    if not torch.is_tensor(embeds) or not embeds.is_floating_point():
        raise ValueError(f'{owner}: {path} must hold a tensor of floats, got '
                         f'{type(embeds).__name__}.')
    embeds = embeds.float()
    embeds = embeds[None] if embeds.dim() == 2 else embeds
    if embeds.dim() != 3 or embeds.shape[0] != 1 or not embeds.numel():
        raise ValueError(f'{owner}: {path} must have shape (L, D) or '
                         f'(1, L, D), got {tuple(embeds.shape)}.')
    if not embeds.isfinite().all():
        raise ValueError(f'{owner}: {path} holds NaN or infinity.')
    return embeds


def _read_torch(path):
    return torch.load(path, map_location='cpu', weights_only=True)


def _read_safetensors(path):
    from safetensors.torch import load_file
    return load_file(path)


_READERS = {
    '.npy': lambda path: np.load(path, allow_pickle=False),
    '.pt': _read_torch,
    '.pth': _read_torch,
    '.safetensors': _read_safetensors,
}
