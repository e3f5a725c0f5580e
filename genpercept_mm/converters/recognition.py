"""Which family of weights a folder holds."""
import os
import os.path as osp

from genpercept_mm.models.utils.diffusers_folder import read_json

from . import e2e_ft, lotus, marigold
from .genpercept_folder import GenPerceptFolder

FAMILIES = ('genpercept', 'marigold', 'lotus', 'e2e-ft')


def recognize(folder):
    """Return one of ``FAMILIES``, by the files and configs in a folder."""
    index = read_json(folder, 'model_index.json') or {}
    unet = read_json(folder, 'unet', 'config.json') or {}
    if unet.get('class_embed_type') == 'projection':
        return 'lotus'
    if unet.get('in_channels') == 8:
        scheduler = read_json(
            folder, 'scheduler', 'scheduler_config.json') or {}
        steps = index.get('default_denoising_steps')
        return 'e2e-ft' if marigold.is_e2e_ft(
            folder, scheduler, steps) else 'marigold'
    if index.get('_class_name') in marigold.PIPELINES:
        return 'marigold'
    return 'genpercept'


def convert_any(folder, family=None, task=None, num_steps=None):
    """Make a `Conversion` of a folder of any known family.

    Args:
        folder (str): Folder of weights.
        family (str, optional): One of ``FAMILIES``; None looks.
        task (str, optional): What the model predicts, where the folder does
            not say it.
        num_steps (int, optional): Of Marigold; None takes what the folder
            says.

    Raises:
        OSError: If a file is missing or cannot be read.
        ValueError: If the folder holds something else.
    """
    if not osp.isdir(folder):
        raise FileNotFoundError(
            f'{folder} is not a folder; download the weights first.')
    family = family or recognize(folder)
    if family == 'lotus':
        return lotus.convert_folder(folder, task)
    if family == 'e2e-ft':
        return e2e_ft.convert_folder(folder, task)
    if family == 'marigold':
        return marigold.convert_folder(folder, task, num_steps)
    if family != 'genpercept':
        raise ValueError(f'family must be one of {FAMILIES}, got {family!r}.')
    source = GenPerceptFolder(os.fspath(folder), task)
    return source.convert(source.read_prompt())
