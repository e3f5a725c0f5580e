"""Models from a config, a checkpoint or a folder of weights."""
import os
import os.path as osp

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope

from genpercept_mm.converters.conversion import find_config, read_checkpoint
from genpercept_mm.converters.recognition import convert_any
from genpercept_mm.registry import MODELS
from genpercept_mm.utils.state_dicts import find_misfits
from genpercept_mm.utils.trained_weights import KEY, restore_frozen

from .zoo import find_entry, get_weights, read_entries

CHECKPOINTS = ('.pth', '.pt', '.ckpt', '.safetensors', '.npz')


def init_model(model, weights=None, device=None, task=None):
    """Build a model with its weights, ready to predict.

    Args:
        model (str | Config | dict): A config or its file, a checkpoint whose
            ``meta`` holds the config, a folder of weights that a converter
            knows, or the name of a published model, see `list_models`.
        weights (str, optional): Checkpoint. None takes ``load_from`` of the
            config.
        device (str, optional): None takes the best one there is.
        task (str, optional): What a folder of weights predicts, where it does
            not say it.

    Returns:
        nn.Module: In evaluation mode, with the config as ``cfg``.

    Raises:
        FileNotFoundError: If a file or folder does not exist.
        RuntimeError: If the weights do not fit the config.
        ValueError: If there are no weights, a checkpoint without config, no
            such device, or the config names what nobody has registered.
    """
    device = find_device(device)
    cfg, checkpoint, source = read_model(model, weights, task)
    scope = cfg.get('default_scope') or 'mmseg'
    lazy = _without_pretrained(cfg.model, checkpoint)
    with DefaultScope.overwrite_default_scope(scope):
        try:
            network = MODELS.build(lazy)
        except KeyError as error:
            if 'registry' not in str(error):
                raise
            raise ValueError(
                f'{source}: {error.args[0]} A checkpoint runs no code, so '
                'components of your own must be known before: give the config '
                'file, whose custom_imports import them, and this file as '
                'weights (--weights), with their folder on PYTHONPATH.'
            ) from error
        restore_frozen(checkpoint, network)
    _load(network, checkpoint['state_dict'], source)
    network.dataset_meta = dict(
        dict(classes=None, palette=None),
        **(checkpoint['meta'].get('dataset_meta') or {}))
    network.cfg = cfg
    if str(device) == 'cpu':
        network = revert_sync_batchnorm(network)
    return network.to(device).eval()


def get_model(name, device=None):
    """Build a published model with its weights, ready to predict.

    They are downloaded and converted at the first use.

    Args:
        name (str): See `list_models`.
        device (str, optional): None takes the best one there is.

    Returns:
        nn.Module: See `init_model`.

    Raises:
        OSError: If the weights are not in the cache and cannot be downloaded.
        ValueError: If the name is unknown, or downloaded files are not those
            of the first download.
    """
    return init_model(get_weights(name), device=device)


def find_device(device=None):
    """Return a torch.device for its name, or the best one there is for None.
    Raises a ValueError if it is not there."""
    try:
        found = torch.device(get_device() if device is None else device)
        torch.empty(0, device=found)
    # torch raises errors of many kinds here
    except Exception as error:
        raise ValueError(f'device {device!r} is not there '
                         f'({str(error).splitlines()[0]}).') from error
    return found


def read_model(model, weights=None, task=None):
    """Find config and weights.

    Returns:
        tuple[Config, dict, str]: The config, the checkpoint (``state_dict``
        and ``meta``), and where the weights come from.
    """
    cfg = None
    if isinstance(model, (str, os.PathLike)):
        model = osp.expanduser(os.fspath(model))
        # of outputs, for example, that are called like the model
        hidden = osp.isdir(model) and model in read_entries() and (
            not _holds_weights(model))
        if osp.isdir(model) and not hidden:
            if weights is not None:
                raise ValueError(f'{model} is a folder of weights, so '
                                 f'weights={weights!r} have no place.')
            conversion = convert_any(model, task=task)
            return (Config(conversion.config()), conversion.checkpoint(),
                    model)
        if not osp.isfile(model):
            model = _named(model, weights)
        if model.lower().endswith(CHECKPOINTS):
            weights = model if weights is None else weights
            checkpoint = read_checkpoint(model)
            cfg = _config_of(checkpoint, model)
            if weights == model:
                return cfg, checkpoint, model
        else:
            cfg = Config.fromfile(model)
    elif isinstance(model, (Config, ConfigDict, dict)):
        cfg = Config(dict(model)) if not isinstance(model, Config) else model
    else:
        raise TypeError('model must be a path, a Config or a dict, got '
                        f'{type(model).__name__}.')
    cfg = cfg.copy()
    if 'model' not in cfg:
        raise ValueError(f'{model!r} has no model, so it is not a config of a '
                         'network.')
    weights = weights or cfg.get('load_from')
    if weights is None:
        raise ValueError(
            'a config alone predicts nothing: give weights=, a checkpoint '
            'that was trained with it.')
    return cfg, read_checkpoint(weights), str(weights)


def _holds_weights(folder):
    return any(name.lower().endswith((*CHECKPOINTS, '.bin'))
               for _, _, names in os.walk(folder) for name in names)


def _named(name, weights):
    """Return the checkpoint of a published model."""
    try:
        find_entry(name)
    except ValueError as error:
        raise FileNotFoundError(
            f'{name!r} is not a config file, a checkpoint or a folder of '
            f'weights, and {error}') from error
    if weights is not None:
        raise ValueError(f'{name} has its own weights; do not give '
                         f'weights={weights!r}.')
    return get_weights(name)


def _config_of(checkpoint, path):
    """Find the config in a checkpoint, of a training or of a converter."""
    meta = checkpoint['meta']
    if isinstance(meta.get('config'), dict):
        return Config(meta['config'])
    cfg = find_config(checkpoint, source=path)
    if cfg is None:
        raise ValueError(f'{path} does not hold its config; give model=, the '
                         'config file, and weights=, this file.')
    return cfg


def _without_pretrained(model, checkpoint):
    """Drop what a whole checkpoint replaces anyway."""
    model = ConfigDict(model.to_dict() if hasattr(model, 'to_dict')
                       else dict(model))
    if checkpoint['meta'].get(KEY):
        return model

    def strip(part):
        if isinstance(part, dict):
            for key in ('pretrained', 'init_cfg'):
                if part.get(key) is not None:
                    part[key] = None
            for item in part.values():
                strip(item)
        elif isinstance(part, (list, tuple)):
            for item in part:
                strip(item)

    strip(model)
    return model


def _load(network, state, source):
    state = {key.removeprefix('module.'): value
             for key, value in state.items()}
    misfits = find_misfits(state, network.state_dict())
    if misfits:
        raise RuntimeError(
            f'{source} does not belong to this config: {misfits}.')
    with torch.no_grad():
        network.load_state_dict(state, strict=False)
