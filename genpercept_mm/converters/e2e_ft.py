"""Folders of E2E-FT (Martin Garcia et al., arXiv:2409.11355).

A Marigold U-Net fine-tuned for one step at timestep 999 from zeros in place of
noise. A convolution of zeros is zero, so the half of the first layer that sees
them is left out; the rest is a model of GenPercept's kind, whose clean latent
is -0.9976673 times the U-Net's output.
"""
import os.path as osp

from genpercept_mm.diffusion.schedule import NoiseSchedule
from genpercept_mm.models.utils.arch_detection import detect_arch
from genpercept_mm.models.utils.diffusers_folder import (
    read_json,
    read_part,
    source_name,
)
from genpercept_mm.models.utils.prompt_embedding import embed_prompt

from .conversion import Conversion
from .genpercept import TASKS
from .layout import check_parts, join_parts, model_config

TIMESTEP = 999


def fold_zero_noise(unet):
    """Return the weights of a U-Net that takes the image's latent alone."""
    unet = dict(unet)
    weight = unet['conv_in.weight']
    if weight.shape[1] != 8:
        raise ValueError('A U-Net of E2E-FT has 8 input channels, got '
                         f'{weight.shape[1]}.')
    unet['conv_in.weight'] = weight[:, :4].contiguous()
    return unet


def clean_factor(scheduler=None):
    """Compute what the negative output is multiplied by to give the clean
    latent, sqrt(1 - alpha-bar) at timestep 999 of the folder's schedule."""
    schedule = NoiseSchedule() if scheduler is None else (
        NoiseSchedule.from_diffusers(scheduler))
    return float((1 - schedule.alpha(TIMESTEP).double()).sqrt())


def find_task(src, index, task=None):
    """Find out what a folder of E2E-FT predicts, see `convert_folder`."""
    index, name = index or {}, source_name(src)
    stated = {'depth': 'depth', 'normals': 'normal'}.get(
        index.get('prediction_type'))
    named = None
    for text in (index.get('_class_name') or '', name):
        said = [kind for kind in ('depth', 'normal')
                if kind in text.lower()]
        if named is None and len(said) == 1:
            named = said[0]
    if task is not None and stated not in (None, task):
        raise ValueError(f'{src} says that it predicts {stated}, not {task}; '
                         'leave out the task (--task).')
    task = task or stated or named
    if task not in ('depth', 'normal'):
        raise ValueError(f'{src} does not say what the model of E2E-FT '
                         "predicts; give task (--task), 'depth' or 'normal'.")
    return task


def convert_folder(src, task=None):
    """Make a `Conversion` of a folder of E2E-FT.

    Args:
        src (str): Folder in diffusers layout, as for Marigold.
        task (str, optional): ``'depth'`` or ``'normal'``, where the folder
            does not say it.

    Raises:
        OSError: If a file is missing or cannot be read.
        ValueError: If the weights are of another kind or the task is unknown.
    """
    task = find_task(src, read_json(src, 'model_index.json'), task)
    scheduler = read_json(src, 'scheduler', 'scheduler_config.json')
    unet = fold_zero_noise(read_part(osp.join(src, 'unet')))
    factor = clean_factor(scheduler)
    for key in ('conv_out.weight', 'conv_out.bias'):
        unet[key] = unet[key].float() * factor
    vae = read_part(osp.join(src, 'vae'))
    unet_config, vae_config = (
        read_json(src, part, 'config.json') for part in ('unet', 'vae'))
    if unet_config is not None:
        unet_config = dict(unet_config, in_channels=4)
    arch = detect_arch(unet, vae, unet_config, vae_config)
    parts = dict(unet=unet, vae=vae, dpt_head=None,
                 prompt_embeds=embed_prompt(src, '', 'e2e_ft'))
    check_parts(parts, arch)
    state = join_parts(**parts)
    codec = dict(TASKS[task])
    codec.update(dict(stretch=True) if task == 'depth' else dict(
        axes='dsine', normalize=False, normalize_first='raw'))
    model = model_config(state, arch, codec)
    model['backbone']['timestep'] = TIMESTEP
    return Conversion(
        state, arch, task, model,
        [f'{src}: E2E-FT for {task}; the noise half of the first layer, which '
         'sees zeros, is folded away'])
