"""Folders of Marigold, as models of this package."""
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

# What the pipelines of diffusers and of the original code may predict
PIPELINES = dict(
    MarigoldDepthPipeline=('depth', 'disparity'),
    MarigoldNormalsPipeline=('normal', ),
    MarigoldPipeline=('depth', 'disparity', 'normal'))
_TASK_OF = dict(depth='depth', disparity='disparity', normals='normal')
# Of the image processor of diffusers' pipelines
RESIZE = dict(type='genpercept_mm.DenseResize', round_image=False,
              integer_size=True)
# Latents of image and noise
IN_CHANNELS = 8


def find_task(index, task=None):
    """Find out what a Marigold folder predicts.

    Depth has 0 near and 1 far, disparity 1 near, both without scale and shift;
    normals have x right, y up, z towards the viewer (the directions that
    diffusers documents for ``visualize_normals``). `AffineDepthCodec` and
    `NormalCodec` have the same conventions, so nothing is converted.

    ``index`` is the folder's ``model_index.json``. Returns ``'depth'``,
    ``'disparity'`` or ``'normal'``, which ``task`` must be where the folder
    does not say it.

    Raises:
        ValueError: If the folder holds something else, neither it nor ``task``
            says what is predicted, they contradict each other, or options
            change what predictions mean.
    """
    name = index.get('_class_name')
    if name not in PIPELINES:
        raise ValueError(
            f'The folder holds a {name}; only {list(PIPELINES)} can be '
            'converted.')
    tasks, stated = PIPELINES[name], index.get('prediction_type')
    if stated is not None:
        if _TASK_OF.get(stated) not in tasks:
            raise ValueError(f'model_index.json says that a {name} predicts '
                             f'{stated!r}; expected one of {tasks}.')
        tasks = (_TASK_OF[stated], )
    if task is None and len(tasks) > 1:
        raise ValueError('model_index.json does not say what the model '
                         f'predicts; give --task, one of {tasks}.')
    task = task or tasks[0]
    if task not in tasks:
        raise ValueError(f'The folder holds a {name} for {tasks}, not for '
                         f'{task}.')
    for field in ('use_full_z_range', 'scale_invariant', 'shift_invariant'):
        if index.get(field) is False:
            raise ValueError(
                f'model_index.json has {field}=false; no codec decodes such '
                f'predictions of {task}.')
    return task


def find_num_steps(index, num_steps=None):
    """Return the number of steps, by default what model_index.json says."""
    if num_steps is None:
        num_steps = index.get('default_denoising_steps')
    if num_steps is None:
        raise ValueError('model_index.json has no default_denoising_steps; '
                         'say how many steps to take with --steps.')
    return num_steps


def is_e2e_ft(src, scheduler, num_steps):
    """Tell a folder of E2E-FT (arXiv:2409.11355) from one of Marigold.

    Its pipelines have Marigold's names, but were trained for one step from
    zeros; started from noise, they predict maps that depend on it.
    """
    single = num_steps == 1 and (
        scheduler.get('_class_name') != 'LCMScheduler'
        and scheduler.get('timestep_spacing') == 'trailing'
        and not scheduler.get('rescale_betas_zero_snr'))
    return single or 'e2e-ft' in source_name(src).replace('_', '-')


def marigold_to_mm(unet, vae, prompt_embeds, unet_config=None,
                   vae_config=None):
    """Make the state dict of a `DenseEstimator` from Marigold's weights.

    The U-Net has 8 input channels; ``prompt_embeds``, (1, L, D), is the
    embedded empty prompt. For the other arguments and errors, see
    `detect_arch` and `check_parts`.

    Returns:
        tuple[dict[str, Tensor], str | dict]: The state dict in fp32, and the
        architecture, see `SDUNet` (with 4 channels).
    """
    arch = detect_arch(unet, vae, unet_config, vae_config)
    parts = dict(unet=unet, vae=vae, prompt_embeds=prompt_embeds,
                 dpt_head=None)
    check_parts(parts, arch, IN_CHANNELS)
    return join_parts(**parts), arch


def marigold_config(state_dict, arch, task, scheduler, num_steps):
    """Write the config of the model that a Marigold folder holds.

    The arguments come from `marigold_to_mm`, `find_task` and `find_num_steps`;
    ``scheduler`` is the folder's ``scheduler_config.json``. Returns the
    ``model`` of a config: a `LatentDiffusionEstimator` with the whole schedule
    written out, which decodes the sample after the last step, as Marigold's
    pipelines do.

    Raises:
        ValueError: See `NoiseSchedule.from_diffusers`, and if the schedule
            does not have that many steps.
    """
    decode = 'sample'
    if scheduler.get('_class_name') == 'LCMScheduler':
        scheduler, decode = _one_step_of_lcm(scheduler, num_steps), 'clean'
    schedule = NoiseSchedule.from_diffusers(scheduler)
    schedule.timesteps(num_steps)
    model = model_config(state_dict, arch, TASKS[task])
    model['type'] = 'genpercept_mm.LatentDiffusionEstimator'
    model['backbone']['in_channels'] = IN_CHANNELS
    model['protocol'] = dict(
        type='marigold', decode=decode, schedule=schedule.fields)
    model['test_cfg'] = dict(
        num_steps=num_steps, pad_divisor=8, resize='bilinear')
    if task == 'normal':
        model['decode_head']['codec']['normalize_first'] = 'clipped'
    return model


def _one_step_of_lcm(scheduler, num_steps):
    """Return the schedule with which DDIM takes the only step of a latent
    consistency model: from timestep 999, to the clean sample. Further ones,
    which draw noise, are not supported."""
    if num_steps != 1:
        raise ValueError(
            'Latent consistency models are supported with one step, got '
            f'{num_steps}; set --steps 1.')
    return dict(scheduler, _class_name='DDIMScheduler',
                timestep_spacing='trailing')


def convert_folder(src, task=None, num_steps=None):
    """Make a `Conversion` of a Marigold folder.

    Args:
        src (str): Folder in diffusers layout: ``model_index.json``, ``unet``,
            ``vae``, ``text_encoder``, ``tokenizer`` and ``scheduler``.
        task (str, optional): See `find_task`.
        num_steps (int, optional): None takes what ``model_index.json`` says.

    Raises:
        OSError: If a file is missing or cannot be read.
        ValueError: See `find_task`, `marigold_to_mm` and `marigold_config`.
    """
    if not osp.isdir(src):
        raise FileNotFoundError(
            f'{src} is not a folder; download the weights first.')
    index = read_json(src, 'model_index.json', required=True)
    task = find_task(index, task)
    num_steps = find_num_steps(index, num_steps)
    scheduler = read_json(
        src, 'scheduler', 'scheduler_config.json', required=True)
    if is_e2e_ft(src, scheduler, num_steps):
        raise ValueError(
            f'{src} holds a model of E2E-FT: one step at the last timestep, '
            'from zeros instead of noise. As a Marigold model it would give '
            'maps that depend on the noise; convert it with '
            'tools/model_converters/weights2mm.py.')
    state, arch = marigold_to_mm(
        *(read_part(osp.join(src, part)) for part in ('unet', 'vae')),
        embed_prompt(src, '', 'marigold2mm'),
        *(read_json(src, part, 'config.json') for part in ('unet', 'vae')))
    notes = [f'{src}: {index["_class_name"]} for {task}, {num_steps} steps']
    edge = index.get('default_processing_resolution') or 768
    return Conversion(
        state, arch, task,
        marigold_config(state, arch, task, scheduler, num_steps), notes,
        dict(RESIZE, long_edge=edge))
