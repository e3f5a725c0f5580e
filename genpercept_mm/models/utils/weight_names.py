"""Names of diffusers tensors: old ones, current ones and peft's."""
import re

_OLD_ATTENTION = dict(
    query='to_q', key='to_k', value='to_v', proj_attn='to_out.0')


def modernize_vae(state):
    """Give a VAE's attention layers their current names and shapes.

    diffusers renamed these layers (see ``_OLD_ATTENTION``), and the original
    Stable Diffusion files store 1 x 1 convolutions there, which become linear
    weights (C, C). Weights of a U-Net do not change.
    """
    new = {}
    for key, value in state.items():
        match = re.fullmatch(
            r'(.*\battentions\.\d+\.)(\w+)\.(weight|bias)', key)
        if match and match[2] in _OLD_ATTENTION:
            key = f'{match[1]}{_OLD_ATTENTION[match[2]]}.{match[3]}'
        if value.dim() == 4 and re.search(
                r'\battentions\.\d+\.to_\w+(\.0)?\.weight', key):
            value = value.flatten(1)
        new[key] = value
    return new


def to_lora_names(state, own):
    """Rename plain weights to peft's names where those are in the model.

    ``state`` is changed in place; ``own`` lists the names in the model.
    """
    for key in own:
        plain = key.replace('.base_layer.', '.')
        if plain != key and plain in state and key not in state:
            state[key] = state.pop(plain)


def without_lora(state):
    """Drop LoRA matrices and give their base weights plain names."""
    return {key.replace('.base_layer.', '.'): value
            for key, value in state.items() if '.lora_' not in key}
