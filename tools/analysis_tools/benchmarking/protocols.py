"""Measure run time and memory of the protocols, for table 11 of the paper."""
import gc
import json
import os
import subprocess
import sys
from collections import namedtuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from .clock import Clock

# by architecture: a config with the VAE decoder, one with the DPT head
CONFIGS = dict(
    sd21=('configs/genpercept_vae_hypersim-vkitti2-depth.py',
          'configs/genpercept_dpt_hypersim-vkitti2-disparity.py'),
    mini=('configs/mini/genpercept_vae_mini-hypersim-depth.py',
          'configs/mini/genpercept_dpt_mini-hypersim-disparity.py'))
REFERENCE_ROW = 'multi-step'

Setting = namedtuple('Setting', 'name head model weights seconds memory')
Setting.__doc__ = """A row of table 11.

``head`` is 'vae' or 'dpt', and ``model`` what differs from the config. Rows
of equal ``weights`` can share them. ``seconds`` and ``memory`` (GB) are the
paper's, on an RTX 4090.
"""
_DIFFUSION = dict(
    type='genpercept_mm.LatentDiffusionEstimator',
    test_cfg=dict(num_steps=10))
_MARIGOLD = dict(
    _DIFFUSION, protocol='marigold', backbone=dict(in_channels=8))
SETTINGS = {
    'ensemble': Setting(
        'Stochastic multi-step, ensemble of 10', 'vae',
        dict(_MARIGOLD, test_cfg=dict(num_steps=10, ensemble_size=10)),
        '8 channels', 5.74, 16),
    REFERENCE_ROW: Setting(
        'Stochastic multi-step', 'vae',
        _MARIGOLD, '8 channels', .79, 6.95),
    'deterministic': Setting(
        'Deterministic multi-step', 'vae',
        dict(_DIFFUSION, protocol='dmp'), '4 channels', .79, 6.95),
    'one-step': Setting(
        'One step', 'vae', dict(), '4 channels', .34, 6.95),
    'one-step-dpt': Setting(
        'One step, DPT head', 'dpt', dict(), 'DPT', .24, 6.32)
}

Measurement = namedtuple('Measurement', 'seconds memory')
Measurement.__doc__ = """``seconds`` (list[float]) of each prediction, and
the peak ``memory`` in GiB of a process that makes one."""


def measure(arch, shape, dtype, device, repeats, report=print):
    """Measure all rows.

    Memory is that of a fresh process for each row, as the high-water mark of
    a process never falls. Times are taken in this process, in turns, so that
    whatever slows the machine down for a while slows all rows.

    Args:
        arch (str): Key of ``CONFIGS``.
        shape (Sequence[int]): (H, W) of the image.
        dtype (str): Type to autocast to, see `Clock`.
        device (str): Device to run on.
        repeats (int): Number of timed predictions of each row.
        report (Callable): Takes lines of progress. Defaults to ``print``.

    Returns:
        dict[str, Measurement]: By the keys of ``SETTINGS``.

    Raises:
        RuntimeError: If one of the processes fails.
    """
    warmup = int(torch.device(device).type == 'cuda')
    steps = [(key, kind) for kind in
             ['memory'] + ['time'] * (warmup + repeats) for key in SETTINGS]
    memory, expected, seconds = {}, {}, {key: [] for key in SETTINGS}
    models = None
    for index, (key, kind) in enumerate(steps):
        if kind == 'memory':
            memory[key], expected[key] = _measure_in_child(
                key, arch, shape, dtype, device)
            result = f'{memory[key]:.2f} GiB, {expected[key]:.2f} s'
        else:
            if models is None:
                models = build_models(arch, device)
            expected[key] = time_prediction(models[key], shape, dtype, device)
            seconds[key].append(expected[key])
            result = f'{expected[key]:.3f} s'
        left = sum(expected.get(other, 0) for other, _ in steps[index + 1:])
        report(f'[{index + 1}/{len(steps)}] {kind}, {SETTINGS[key].name}: '
               f'{result} (at least {left:.0f} s to go)')
    return {key: Measurement(seconds[key][warmup:], memory[key])
            for key in SETTINGS}


def build_models(arch, device, keys=None):
    """Build the estimators of rows with random weights.

    Args:
        arch (str): Key of ``CONFIGS``.
        device (str): Device of the estimators.
        keys (Sequence[str], optional): Keys of ``SETTINGS``. Defaults to
            None, which takes all.

    Returns:
        dict[str, DenseEstimator]: In evaluation mode; rows of equal
        ``weights`` share backbone and head.
    """
    models, shared = {}, {}
    for key in keys or SETTINGS:
        setting = SETTINGS[key]
        cfg = Config.fromfile(CONFIGS[arch][setting.head == 'dpt'])
        cfg.merge_from_dict(dict(model=setting.model))
        cfg.merge_from_dict({'model.backbone.pretrained': None})
        if setting.head == 'vae':
            cfg.merge_from_dict({'model.decode_head.pretrained': None})
        torch.manual_seed(0)
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            model = MODELS.build(cfg.model)
        if setting.weights in shared:
            first = shared[setting.weights]
            model.backbone = first.backbone
            model.decode_head = first.decode_head
            gc.collect()
        shared[setting.weights] = model
        models[key] = model.to(device).eval()
    return models


def time_prediction(model, shape, dtype, device):
    """Time one prediction, from an image to a map of its size.

    Args:
        model (DenseEstimator): In evaluation mode.
        shape (Sequence[int]): (H, W) of the image.
        dtype (str): Type to autocast to, see `Clock`.
        device (str): Device of the model.

    Returns:
        float: Seconds.
    """
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(
        0, 256, (3, *shape), dtype=torch.uint8, generator=generator)

    def predict():
        inputs = model.data_preprocessor(dict(inputs=[image]))['inputs']
        model.predict(inputs)

    with torch.no_grad():
        return Clock(device, dtype).seconds(predict)


def _measure_in_child(key, arch, shape, dtype, device):
    """Run `main` in a fresh process; returns what it prints."""
    done = subprocess.run(
        [sys.executable, '-m', __name__, key, arch, *map(str, shape), dtype,
         device], stdout=subprocess.PIPE, text=True, env=dict(
             os.environ, PYTHONPATH=os.pathsep.join(
                 [os.getcwd(), *filter(None, sys.path)])))
    if done.returncode:
        raise RuntimeError(
            f'measuring the memory of {SETTINGS[key].name!r} ended with '
            f'status {done.returncode} (-9: the system killed it, most '
            'likely for lack of memory); see the message above.')
    return json.loads(done.stdout.splitlines()[-1])


def main(key, arch, height, width, dtype, device):
    """Print peak memory (GiB) and seconds of one prediction, as JSON.

    Args:
        key (str): Key of ``SETTINGS``.
        arch (str): Key of ``CONFIGS``.
        height (str): Height of the image in pixels.
        width (str): Width of the image in pixels.
        dtype (str): Type to autocast to, see `Clock`.
        device (str): Device to run on.
    """
    model = build_models(arch, device, [key])[key]
    seconds = time_prediction(model, (int(height), int(width)), dtype, device)
    print(json.dumps([Clock(device).peak_memory(), seconds]))


if __name__ == '__main__':
    main(*sys.argv[1:])
