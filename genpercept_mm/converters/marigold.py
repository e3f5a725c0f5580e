"""Marigold's folders, as models of this package."""
from genpercept_mm.diffusion.schedule import NoiseSchedule

from .released_weights import detect_arch, model_config, to_mm

# What the pipelines of diffusers, and of the original code, may predict
PIPELINES = dict(
    MarigoldDepthPipeline=('depth', 'disparity'),
    MarigoldNormalsPipeline=('normal', ),
    MarigoldPipeline=('depth', 'disparity', 'normal'))
_TASK_OF = dict(depth='depth', disparity='disparity', normals='normal')
# image and noise
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
        ValueError: If the folder holds something else, does not say and is
            not told, is told something else than it says, or has options
            that change what predictions mean.
    """
    name = index.get('_class_name')
    if name not in PIPELINES:
        raise ValueError(
            f'The folder holds a {name}; only {list(PIPELINES)} are '
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
                f'model_index.json has {field}=false, so predictions mean '
                f'something else than the codec of {task} here; there is no '
                'codec for them.')
    return task


def find_num_steps(index, num_steps=None):
    """Find out how many steps to take.

    Args:
        index (dict): The folder's ``model_index.json``.
        num_steps (int, optional): If given, this many. Defaults to None.

    Returns:
        int: Number of steps.

    Raises:
        ValueError: If neither says.
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
        unet (dict[str, Tensor]): Of ``UNet2DConditionModel``, 8 channels.
        vae (dict[str, Tensor]): Of ``AutoencoderKL``.
        prompt_embeds (Tensor): (1, L, D), the embedded empty prompt.
        unet_config (dict, optional): The ``config.json`` beside the weights.
            Defaults to None.
        vae_config (dict, optional): Likewise. Defaults to None.

    Returns:
        tuple[dict[str, Tensor], str | dict]: The state dict in fp32, and the
        architecture, as of `SDUNet` (with 4 channels).

    Raises:
        ValueError: If tensors are missing, unknown or of another shape, all
            of which are named, or if nothing tells the architecture.
    """
    rest = {key: value for key, value in unet.items()
            if key != 'conv_in.weight'}
    arch = detect_arch(
        rest, vae, unet_config and dict(unet_config, in_channels=4),
        vae_config)
    state, _ = to_mm(unet, vae, prompt_embeds, arch, in_channels=IN_CHANNELS)
    return state, arch


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
        dict: The ``model`` of a config: a `DenseEstimator` that decodes what
        the last step leads to, as Marigold's pipelines do, and sees whole
        images unpadded.

    Raises:
        ValueError: If it is for another scheduler (latent consistency models
            for example) or prediction type than DDIM and velocity, or cannot
            take that many steps.
    """
    schedule = NoiseSchedule.from_diffusers(scheduler)
    schedule.timesteps(num_steps)
    model = model_config(state_dict, arch, task)
    model['backbone']['in_channels'] = IN_CHANNELS
    model['protocol'] = dict(
        type='marigold', decode='sample', **schedule.fields)
    model['test_cfg'] = dict(num_steps=num_steps)
    return model
