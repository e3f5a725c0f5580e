"""Checkpoint files that converters read and write."""
import copy
from dataclasses import dataclass, field

import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader

from genpercept_mm.compat.checkpoints import mapped_loading
from genpercept_mm.models.utils.arch_detection import detect_arch
from genpercept_mm.registry import CODECS
from genpercept_mm.utils import safetensors_checkpoint  # noqa: F401
from genpercept_mm.utils.config_text import parse_config
from genpercept_mm.utils.files import write_whole
from genpercept_mm.utils.plain import to_plain
from genpercept_mm.version import __version__

from .layout import split_parts
from .packed_checkpoint import load_packed

# Version of conversions; counts up whenever the same weights would give
# another config or state, so that what was kept is converted again
CONVERSION = 1
# What the official pipelines do with a photograph
LOAD, PACK = dict(type='LoadImageFromFile'), dict(
    type='genpercept_mm.PackDenseInputs')
RESIZE = dict(type='genpercept_mm.DenseResize', long_edge=768)


@dataclass
class Conversion:
    """A model of this package, made from weights of another project.

    Attributes:
        state_dict (dict[str, Tensor]): Weights of the model, fp32.
        arch (str | dict): Architecture, see `SDUNet`.
        task (str): What the model predicts.
        model (dict): The ``model`` of a config.
        notes (list[str]): Where the weights come from and what was left out.
        resize (dict): Transform that brings photographs to the size at which
            the weights' own pipeline runs.
    """
    state_dict: dict
    arch: 'str | dict'
    task: str
    model: dict
    notes: list = field(default_factory=list)
    resize: dict = field(default_factory=lambda: dict(RESIZE))

    def config(self):
        """Return a config, as a dict, that predicts on photographs."""
        codec = dict(self.model['decode_head']['codec'])
        return dict(
            custom_imports=dict(
                imports=['genpercept_mm'], allow_failed_imports=False),
            default_scope='mmseg', model=self.model,
            test_pipeline=[dict(LOAD), dict(self.resize), dict(PACK)],
            visualizer=dict(type='genpercept_mm.DenseLocalVisualizer',
                            codec=codec))

    def checkpoint(self):
        """Return what `save` writes."""
        codec = self.model['decode_head']['codec']
        return dict(state_dict=self.state_dict, meta=dict(
            genpercept_mm_version=__version__, conversion=CONVERSION,
            arch=self.arch,
            task=self.task, quantity=CODECS.build(codec).quantity,
            codec=dict(codec), config=self.config(), dataset_meta={}))

    def save(self, path):
        """Write the checkpoint, whole or not at all, to a .pth file.

        Returns:
            str: What was done, and the config that uses the file.
        """
        summary = write_checkpoint(self.checkpoint(), path)
        cfg = Config(dict(self.config(), load_from=str(path)))
        return '\n'.join([*self.notes, summary, '', cfg.pretty_text])


def read_checkpoint(path):
    """Read a checkpoint without running code from it.

    Args:
        path (str): File or address that mmengine loads, .pth or .safetensors,
            or a packed checkpoint, .npz.

    Returns:
        dict: With ``state_dict`` (name to tensor, on the CPU), ``meta``, and
        whatever else the file holds.

    Raises:
        FileNotFoundError: If there is no such file.
        pickle.UnpicklingError: If it holds more than data.
        RuntimeError: If it is damaged.
        ValueError: If it is not an OpenMMLab checkpoint.
    """
    if str(path).lower().endswith('.npz'):
        return load_packed(path)
    # files are written by renaming, so a mapped one stays as it is
    with mapped_loading():
        checkpoint = CheckpointLoader.load_checkpoint(
            str(path), map_location='cpu', logger='silent')
    state = isinstance(checkpoint, dict) and checkpoint.get('state_dict')
    if not (isinstance(state, dict) and state
            and all(map(torch.is_tensor, state.values()))):
        raise ValueError(f'{path} has no state_dict of tensors; expected an '
                         'OpenMMLab checkpoint.')
    checkpoint['meta'] = checkpoint.get('meta') or {}
    return checkpoint


def write_checkpoint(checkpoint, path):
    """Write a checkpoint, whole or not at all, and say how much it holds."""
    # files with NumPy arrays do not load as weights only
    checkpoint = dict(checkpoint, meta=to_plain(checkpoint['meta']))
    write_whole(path, lambda part: torch.save(checkpoint, part))
    state = checkpoint['state_dict']
    count = sum(value.numel() for value in state.values())
    return f'{path}: {len(state)} tensors, {count:,} values'


def find_config(checkpoint, path=None, source='the checkpoint'):
    """Find the config of the model that a checkpoint belongs to.

    It is the file at ``path``, or else what the training or a converter has
    stored, or None.
    ``source`` names the checkpoint in errors, see `parse_config`.
    """
    if path is not None:
        return Config.fromfile(path)
    meta = checkpoint['meta']
    if meta.get('cfg') is not None:
        return parse_config(meta['cfg'], source)
    return (Config(copy.deepcopy(dict(meta['config'])))
            if isinstance(meta.get('config'), dict) else None)


def find_arch(checkpoint, path=None):
    """Find the architecture of a checkpoint's backbone, see `SDUNet`.

    It comes from the config file at ``path``, from what a converter or the
    training stored, or else from the shapes.

    Raises:
        ValueError: If none of these tells the architecture.
    """
    if path is None and 'arch' in checkpoint['meta']:
        return checkpoint['meta']['arch']
    cfg = find_config(checkpoint, path)
    if cfg is None:
        parts, _ = split_parts(checkpoint['state_dict'])
        return detect_arch(parts['unet'], parts['vae'])
    arch = cfg.model.backbone.get('arch', 'sd21')
    return arch if isinstance(arch, str) else arch.to_dict()
