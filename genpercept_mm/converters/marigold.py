"""Folders of Marigold, as models of this package."""
import os.path as osp

from genpercept_mm.diffusion.schedule import NoiseSchedule
from genpercept_mm.models.utils.arch_detection import detect_arch
from genpercept_mm.models.utils.diffusers_folder import read_json, read_part
from genpercept_mm.models.utils.prompt_embedding import embed_prompt

from .conversion import Conversion
from .genpercept import TASKS
from .layout import check_parts, join_parts, model_config

# What the pipelines of diffusers, and of the original code, may predict
PIPELINES = dict(
    MarigoldDepthPipeline=('depth', 'disparity'),
    MarigoldNormalsPipeline=('normal', ),
    MarigoldPipeline=('depth', 'disparity', 'normal'))
_TASK_OF = dict(depth='depth', disparity='disparity', normals='normal')
# Latents of image and noise
IN_CHANNELS = 8


def find_task(index, task=None):
    """Find out what a Marigold folder predicts.

    Depth has 0 near and 1 far, disparity 1 near, both without scale and
    shift; normals have x right, y up, z towards the viewer (the directions
    that diffusers documents for ``visualize_normals``). All of this is as
    `AffineDepthCodec` and `NormalCodec` have it, so nothing is converted.

    Args:
        index (dict): The folder's ``model_index.json``.
        task (str, optional): ``'depth'``, ``'disparity'`` or ``'normal'``,
            where the folder does not say. Defaults to None.

    Returns:
        str: The task.

    Raises:
        ValueError: If the folder holds something else, neither it nor
            ``task`` says what is predicted, both do and differ, or options
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
    fields = (('use_full_z_range', ) if task == 'normal' else
              ('scale_invariant', 'shift_invariant'))
    for field in fields:
        if index.get(field) is False:
            raise ValueError(
                f'model_index.json has {field}=false: predictions mean '
                f'something else than in the codec of {task}, and there is '
                'no codec for them.')
    return task


def find_num_steps(index, num_steps=None):
    """Find out how many steps to take.

    Args:
        index (dict): The folder's ``model_index.json``.
        num_steps (int, optional): Number of steps, where it is not the
            folder's. Defaults to None.

    Returns:
        int: Number of steps.

    Raises:
        ValueError: If neither says it.
    """
    if num_steps is None:
        num_steps = index.get('default_denoising_steps')
    if num_steps is None:
        raise ValueError('model_index.json has no default_denoising_steps; '
                         'say how many steps to take with --steps.')
    return num_steps


def marigold_to_mm(unet,
                   vae,
                   prompt_embeds,
                   unet_config=None,
                   vae_config=None):
    """Make the state dict of a `DenseEstimator` from Marigold's weights.

    Args:
        unet (dict[str, Tensor]): Weights of ``UNet2DConditionModel`` with 8
            input channels.
        vae (dict[str, Tensor]): Weights of ``AutoencoderKL``.
        prompt_embeds (Tensor): (1, L, D), the embedded empty prompt.
        unet_config (dict, optional): The ``config.json`` beside the weights.
            Defaults to None.
        vae_config (dict, optional): The same of the VAE. Defaults to None.

    Returns:
        tuple[dict[str, Tensor], str | dict]: The state dict in fp32, and the
        architecture, see `SDUNet` (with 4 channels).

    Raises:
        ValueError: If tensors are missing, unknown or of another shape, all
            of which are named, or if nothing tells the architecture.
    """
    arch = detect_arch(unet, vae, unet_config, vae_config)
    parts = dict(unet=unet, vae=vae, prompt_embeds=prompt_embeds,
                 dpt_head=None)
    check_parts(parts, arch, IN_CHANNELS)
    return join_parts(**parts), arch


def marigold_config(state_dict, arch, task, scheduler, num_steps):
    """Write the config of the model that a Marigold folder holds.

    Args:
        state_dict (dict[str, Tensor]): From `marigold_to_mm`.
        arch (str | dict): From `marigold_to_mm`.
        task (str): From `find_task`.
        scheduler (dict): The ``scheduler_config.json``; all of its schedule
            is written out.
        num_steps (int): From `find_num_steps`.

    Returns:
        dict: The ``model`` of a config: a `LatentDiffusionEstimator` that
        decodes the sample after the last step, as Marigold's pipelines do,
        and sees whole images unpadded.

    Raises:
        ValueError: If the scheduler is not DDIM (but that of a latent
            consistency model, for example), does not predict velocities, or
            cannot take that many steps.
    """
    schedule = NoiseSchedule.from_diffusers(scheduler)
    schedule.timesteps(num_steps)
    model = model_config(state_dict, arch, TASKS[task])
    model['type'] = 'genpercept_mm.LatentDiffusionEstimator'
    model['backbone']['in_channels'] = IN_CHANNELS
    model['protocol'] = dict(
        type='marigold', decode='sample', schedule=schedule.fields)
    model['test_cfg'] = dict(num_steps=num_steps)
    return model


def convert_folder(src, task=None, num_steps=None):
    """Make a model of a Marigold folder.

    Args:
        src (str): Folder in diffusers layout: ``model_index.json``,
            ``unet``, ``vae``, ``text_encoder``, ``tokenizer`` and
            ``scheduler``.
        task (str, optional): See `find_task`. Defaults to None.
        num_steps (int, optional): See `find_num_steps`. Defaults to None.

    Returns:
        Conversion: The model.

    Raises:
        OSError: If a file is missing or cannot be read.
        ValueError: If the folder holds something else, see `find_task`,
            `marigold_to_mm` and `marigold_config`.
    """
    if not osp.isdir(src):
        raise FileNotFoundError(
            f'{src} is not a folder; download the weights first.')
    index = _require_json(src, 'model_index.json')
    task = find_task(index, task)
    num_steps = find_num_steps(index, num_steps)
    scheduler = _require_json(src, 'scheduler', 'scheduler_config.json')
    state, arch = marigold_to_mm(
        *(read_part(osp.join(src, part)) for part in ('unet', 'vae')),
        embed_prompt(src, '', 'marigold2mm'),
        *(read_json(src, part, 'config.json') for part in ('unet', 'vae')))
    notes = [f'{src}: {index["_class_name"]} for {task}, {num_steps} steps']
    edge = index.get('default_processing_resolution')
    if edge:
        notes.append(
            f'its pipeline resizes images to a longer edge of {edge}: '
            f"dict(type='genpercept_mm.DenseResize', long_edge={edge})")
    return Conversion(
        state, arch, task,
        marigold_config(state, arch, task, scheduler, num_steps), notes)


def _require_json(*path):
    content = read_json(*path)
    if content is None:
        raise FileNotFoundError(
            f'{osp.join(*path)} does not exist; expected a folder that '
            'diffusers saved, or a complete download.')
    return content
