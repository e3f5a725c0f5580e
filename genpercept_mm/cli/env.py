"""``genpercept env``: what is installed, and which path each piece takes."""
import importlib
import sys
from importlib import metadata

from .. import compat

INSTALL = 'python tools/install.py'
# name on the index, import name, whether every run needs it, remedy if missing
PACKAGES = (
    ('torch', 'torch', True, INSTALL),
    ('mmengine', 'mmengine', True, INSTALL),
    ('mmcv', 'mmcv', True, 'pip install mmcv-lite==2.1.0'),
    ('mmsegmentation', 'mmseg', True, INSTALL),
    ('mmdet', 'mmdet', False, f'{INSTALL} --groups hosts'),
    ('mmpose', 'mmpose', False, f'{INSTALL} --groups hosts'),
    ('diffusers', 'diffusers', True, INSTALL),
    ('transformers', 'transformers', True, INSTALL),
    ('peft', 'peft', False, 'pip install peft (LoRA)'),
    ('numpy', 'numpy', True, INSTALL),
    ('opencv-python', 'cv2', True, INSTALL),
    ('h5py', 'h5py', True, INSTALL),
    ('mitsuba', 'mitsuba', False, f'{INSTALL} --groups mini'),
    ('pysodmetrics', 'py_sod_metrics', False, f'{INSTALL} --groups dis'),
)


def _version(distribution, module):
    for name in (distribution, f'{distribution}-lite',
                 f'{distribution}-headless'):
        try:
            suffix = '' if name == distribution else f' ({name})'
            return metadata.version(name) + suffix
        except metadata.PackageNotFoundError:
            continue
    return 'unknown version' if compat.find_without_import(module) else None


def _row(name, state, note=''):
    return f'{name:<24}{state:<28}{note}'.rstrip()


def report():
    """Collect the lines to print, and whether the installation is complete.

    It is complete if everything that every run needs can be imported.
    """
    complete = True
    lines = [_row('python', sys.version.split()[0])]
    for distribution, module, needed, remedy in PACKAGES:
        version = _version(distribution, module)
        note = ''
        if version is None:
            complete &= not needed
            note = f'{"MISSING" if needed else "optional"}: {remedy}'
        lines.append(_row(distribution, version or '-', note))
    lines.append('')
    for name, check in (('accelerator', _accelerator),
                        ('torchvision', _torchvision),
                        ('mmcv ops', _mmcv_ops),
                        ('mmpose SimCC drawing', _simcc),
                        ('checkpoints', _checkpoints),
                        ('hosts', _hosts)):
        try:
            state, note = check()
        except ImportError as error:
            state, note = 'not available', str(error)
            complete = False
        lines.append(_row(name, state, note))
    return lines, complete


def _accelerator():
    import torch
    if torch.cuda.is_available():
        return f'CUDA {torch.version.cuda}', torch.cuda.get_device_name()
    return 'none', 'runs on the CPU'


def _torchvision():
    problem = compat.torchvision_problem()
    if problem is None:
        return 'used', metadata.version('torchvision')
    if problem == 'not installed':
        return 'not installed', 'not needed; plain torch replaces it'
    return ('BROKEN', f'{problem}: uninstall it, or install the one that '
            'belongs to this torch (diffusers may fail to import it)')


def _mmcv_ops():
    importlib.import_module('mmcv.ops')
    extension = sys.modules[compat.MMCV_EXT]
    if isinstance(extension, compat.MissingOps):
        from ..compat.ops import OPS
        return (f'stand-in ({len(OPS)} ops)',
                f'{extension.reason}; for all ops: {compat.FULL_MMCV}')
    return 'compiled', extension.__spec__.origin or ''


def _simcc():
    if not compat.find_without_import('mmpose'):
        return '-', 'mmpose is not installed'
    return ('off', 'needs torchvision') if compat.torchvision_problem() else (
        'on', '')


def _checkpoints():
    module = importlib.import_module('mmengine.runner.checkpoint')
    if hasattr(module.CheckpointLoader.load_checkpoint, '__wrapped__'):
        return 'weights only', 'no code from a checkpoint file runs'
    return 'UNSAFE', "compat has not reached mmengine's checkpoint loader"


def _hosts():
    """Import the hosts' models, which check versions and need mmcv's ops."""
    found = [name for name in ('mmseg', 'mmdet', 'mmpose')
             if compat.find_without_import(name)]
    for name in found:
        try:
            importlib.import_module(f'{name}.models')
        except Exception as error:  # a version check raises AssertionError
            raise ImportError(f'import {name}.models fails: {error}; '
                              'constraints.txt lists versions that work '
                              'together') from error
    return 'import', ', '.join(found)


def add_arguments(parser):
    """Add the flags of ``genpercept env``; it does not have any."""


def run(args):
    """Print the report; return 1 if a required piece is missing, else 0."""
    lines, complete = report()
    print('\n'.join(lines))
    return 0 if complete else 1
