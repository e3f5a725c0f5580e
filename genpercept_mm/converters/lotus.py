"""Folders of Lotus (He et al., arXiv:2409.18124), as models of this package.

Lotus-D predicts the latent of the map from that of the image in one step at
timestep 999; Lotus-G takes noise beside it. A task vector is added to the time
embedding; for maps it is constant, so it is folded into a bias. Upstream draws
the image's latent from the encoder's distribution; here it is the mean, so
results are reproducible and differ a little.
"""
import logging
import os.path as osp

import torch
from mmengine.logging import print_log
from torch.nn.functional import linear, silu

from genpercept_mm.models.utils.arch_detection import detect_arch
from genpercept_mm.models.utils.diffusers_folder import (
    read_json,
    read_part,
    source_name,
)
from genpercept_mm.models.utils.prompt_embedding import embed_prompt

from .conversion import RESIZE, Conversion
from .genpercept import TASKS
from .layout import check_parts, join_parts, model_config

TIMESTEP = 999
EMBEDDING = 'class_embedding.'
# Fields of config.json that describe the task vector
_FIELDS = dict(class_embed_type=None,
               projection_class_embeddings_input_dim=None)


def task_vector():
    """Return upstream's embedding of the task "annotation", (1, 4)."""
    angles = torch.tensor([1., 0.])
    return torch.cat([angles.sin(), angles.cos()])[None]


def fold_task_vector(unet):
    """Return the weights of a U-Net without a class embedding, whose time
    embedding has the task vector's in its bias."""
    unet = dict(unet)
    parts = {key: unet.pop(key) for key in list(unet)
             if key.startswith(EMBEDDING)}
    weights = [parts.pop(f'{EMBEDDING}linear_{n}.{kind}', None)
               for n in (1, 2) for kind in ('weight', 'bias')]
    if parts or any(weight is None for weight in weights) or (
            weights[0].shape[1] != 4):
        raise ValueError('The U-Net has no task vector of Lotus: it must have '
                         f'{EMBEDDING}linear_1 and linear_2 for 4 numbers.')
    first, first_bias, second, second_bias = (w.double() for w in weights)
    hidden = silu(linear(task_vector().double(), first, first_bias))
    offset = linear(hidden, second, second_bias)[0]
    key = 'time_embedding.linear_2.bias'
    unet[key] = (unet[key].double() + offset).float()
    return unet


def find_task(src, task=None):
    """Read off the name of a folder or hub cache what its model predicts."""
    name = source_name(src)
    said = {kind for kind in ('depth', 'disparity', 'normal')
            if kind in name}
    if 'disparity' in said:  # such names say depth, too
        said.discard('depth')
    named = said.pop() if len(said) == 1 else None
    if task is not None and named not in (None, task):
        print_log(f'{src} predicts {named} by its name; it is converted as a '
                  f'model of {task}, as it was asked for.', 'current',
                  logging.WARNING)
    task = task or named
    if task not in ('depth', 'disparity', 'normal'):
        raise ValueError(
            f'{src} does not say what the Lotus model predicts; give task '
            "(--task), one of ('depth', 'disparity', 'normal').")
    return task


def convert_folder(src, task=None):
    """Make a `Conversion` of a folder of Lotus-D or Lotus-G.

    Args:
        src (str): Folder in diffusers layout: ``unet``, ``vae``,
            ``text_encoder`` and ``tokenizer``.
        task (str, optional): ``'depth'``, ``'disparity'`` or ``'normal'``,
            where the folder's name does not say it.

    Raises:
        OSError: If a file is missing or cannot be read.
        ValueError: If the weights are not those of Lotus, or the task is
            unknown.
    """
    task = find_task(src, task)
    unet = fold_task_vector(read_part(osp.join(src, 'unet')))
    vae = read_part(osp.join(src, 'vae'))
    unet_config, vae_config = (
        read_json(src, part, 'config.json') for part in ('unet', 'vae'))
    if unet_config is not None:
        unet_config = dict(unet_config, **_FIELDS)
    arch = detect_arch(unet, vae, unet_config, vae_config)
    channels = unet['conv_in.weight'].shape[1]
    parts = dict(unet=unet, vae=vae, dpt_head=None,
                 prompt_embeds=embed_prompt(src, '', 'lotus'))
    check_parts(parts, arch, channels)
    state = join_parts(**parts)
    codec = dict(TASKS[task])
    if task == 'normal':
        codec.update(axes='dsine', normalize=False)
    model = model_config(state, arch, codec)
    model['decode_head']['clip_channels'] = True
    model['backbone'].update(prediction_type='sample', timestep=TIMESTEP)
    model['test_cfg'] = dict(resize='nearest-exact')
    generative = channels == 8
    if generative:
        model['type'] = 'genpercept_mm.LatentDiffusionEstimator'
        model['backbone'].update(in_channels=8, timestep=1)
        model['protocol'] = dict(
            type='marigold', num_steps=1,
            schedule=dict(timestep_spacing='trailing'))
    name = f'Lotus-{"G" if generative else "D"}'
    return Conversion(
        state, arch, task, model, [
            f'{src}: {name} for {task}; the mean of the image latent is '
            'taken, where upstream draws it'],
        dict(RESIZE, round_image=False))
