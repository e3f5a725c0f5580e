"""Exact folding of what is constant at test time.

Everything is computed in double precision and stored in the weights' type.
"""
import torch
import torch.nn.functional as F
from torch import nn


def switch_to_deploy(model):
    """Fold what is constant in a model, in place.

    Calls ``switch_to_deploy`` of the model, or of those of its modules that
    have it, as mmseg's and mmpose's models do not.

    Args:
        model (nn.Module): With its final weights. It cannot be trained
            afterwards, nor load a checkpoint.

    Returns:
        nn.Module: ``model``, in eval mode and, on a CPU, with convolutions in
        channels_last.

    Raises:
        ValueError: If nothing in it can be folded.
    """
    if hasattr(model, 'switch_to_deploy'):
        parts = [model]
    else:
        parts = [part for part in model.modules()
                 if hasattr(part, 'switch_to_deploy')]
    if not parts:
        raise ValueError(
            f'switch_to_deploy: a {type(model).__name__} has no part of '
            'genpercept_mm that could be folded.')
    for part in parts:
        part.switch_to_deploy()
    model.eval()
    # CUDA's group norm takes longer for channels_last than convolutions gain
    if all(p.device.type == 'cpu' for p in model.parameters()):
        model.to(memory_format=torch.channels_last)
    return model


def refuse_training(module, mode):
    """Raise a RuntimeError if a deployed module shall be trained."""
    if mode and module.deployed:
        raise RuntimeError(
            f'{type(module).__name__}: switch_to_deploy has folded what a '
            'training changes; build the model again to train it.')


class TwoTokenAttention(nn.Module):
    """Cross-attention to two tokens that never change.

    The softmax of two scores is the sigmoid of their difference, so that
    queries, keys, values and output projection become two linear layers with
    a sigmoid between them, one number for each attention head.

    Args:
        attention (nn.Module): diffusers' ``Attention``.
        prompt (Tensor): (1, 2, D).
    """

    def __init__(self, attention, prompt):
        super().__init__()
        keys, values = _keys_and_values(attention, prompt)
        heads = attention.heads
        project = attention.to_out[0]
        query = attention.to_q.weight.detach().double()
        # (heads, channels of a head)
        difference = (keys[0] - keys[1]).view(heads, -1) * attention.scale
        self.score = _linear(
            torch.einsum('hd,hdc->hc', difference,
                         query.view(heads, -1, query.shape[1])),
            None if attention.to_q.bias is None else (
                difference * attention.to_q.bias.detach().double().view(
                    heads, -1)).sum(1), _dtype(attention))
        weight = project.weight.detach().double()
        self.mix = _linear(
            torch.einsum('chd,hd->ch', weight.view(len(weight), heads, -1),
                         (values[0] - values[1]).view(heads, -1)),
            weight @ values[1] + _bias(project), _dtype(attention))

    def forward(self, hidden_states, encoder_hidden_states=None,
                attention_mask=None):
        """Return (N, L, C) for (N, L, C); the tokens are known."""
        return self.mix(self.score(hidden_states).sigmoid())


class CachedAttention(nn.Module):
    """Cross-attention to tokens that never change, whose keys and values are
    stored.

    Args:
        attention (nn.Module): diffusers' ``Attention``.
        prompt (Tensor): (1, L, D).
    """

    def __init__(self, attention, prompt):
        super().__init__()
        self.heads, self.scale = attention.heads, attention.scale
        self.to_q, self.to_out = attention.to_q, attention.to_out[0]
        for name, value in zip(('keys', 'values'),
                               _keys_and_values(attention, prompt)):
            self.register_buffer(name, self._split(
                value.to(_dtype(attention))[None]))

    def _split(self, value):
        """(N, L, C) to (N, heads, L, C / heads)"""
        return value.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def forward(self, hidden_states, encoder_hidden_states=None,
                attention_mask=None):
        """Return (N, L, C) for (N, L, C); the tokens are known."""
        query = self._split(self.to_q(hidden_states))
        mixed = F.scaled_dot_product_attention(
            query, self.keys.expand(query.shape[0], -1, -1, -1),
            self.values.expand(query.shape[0], -1, -1, -1), scale=self.scale)
        return self.to_out(mixed.transpose(1, 2).flatten(2))


def fold_prompt(unet, prompt):
    """Fold an embedded prompt (1, L, D) into all cross-attentions of a
    U-Net."""
    kind = TwoTokenAttention if prompt.shape[1] == 2 else CachedAttention
    for block in list(unet.modules()):
        attention = getattr(block, 'attn2', None)
        if attention is not None:
            block.attn2 = kind(attention, prompt)


def fold_timestep(unet, embedding):
    """Fold an embedded timestep (1, D) into the residual blocks of a U-Net,
    which are called without it afterwards."""
    for block in unet.modules():
        projection = getattr(block, 'time_emb_proj', None)
        if projection is None:
            continue
        bias = F.linear(
            F.silu(embedding.detach().double()),
            projection.weight.detach().double(), _bias(projection))[0]
        add_bias(block.conv1, bias)
        block.time_emb_proj = None


def add_bias(conv, bias):
    """Add (C, ) to a convolution's output."""
    _assign(conv, conv.weight.detach().double(), _bias(conv) + bias)


def fold_after(conv, matrix, bias=0.):
    """Apply a matrix (K, C), and then a bias, to the channels that a
    convolution gives."""
    weight, matrix = conv.weight.detach().double(), matrix.detach().double()
    _assign(conv, torch.einsum('kc,c...->k...', matrix, weight),
            matrix @ _bias(conv) + bias)
    conv.out_channels = len(matrix)


def pointwise(conv):
    """Return the matrix and the bias of a 1 x 1 convolution, in double
    precision."""
    return conv.weight.detach().double()[..., 0, 0], _bias(conv)


def _dtype(attention):
    return attention.to_q.weight.dtype


def _keys_and_values(attention, prompt):
    """Keys and values of a prompt (1, L, D), (L, C) each."""
    return [F.linear(prompt[0].double(), layer.weight.detach().double(),
                     _bias(layer))
            for layer in (attention.to_k, attention.to_v)]


def _bias(layer):
    """A layer's bias in double precision, zeros if there is none."""
    if layer.bias is not None:
        return layer.bias.detach().double()
    return layer.weight.new_zeros(len(layer.weight), dtype=torch.double)


def _linear(weight, bias, dtype):
    layer = nn.Linear(weight.shape[1], weight.shape[0],
                      bias=bias is not None, device='meta', dtype=dtype)
    layer.weight = _parameter(weight, dtype)
    if bias is not None:
        layer.bias = _parameter(bias, dtype)
    return layer


def _assign(layer, weight, bias):
    dtype = layer.weight.dtype
    layer.weight, layer.bias = (
        _parameter(weight, dtype), _parameter(bias, dtype))


def _parameter(value, dtype):
    return nn.Parameter(value.to(dtype), requires_grad=False)
