import re

import pytest
from conftest import MINI_CONFIG, run_python

COLORMAP = 'configs/mini/genpercept_vae_mini-hypersim-seg.py'


@pytest.mark.slow
def test_prints_every_part_and_a_ratio_to_plain_diffusers():
    rows = table('--shape', 64, 96, '--batch-size', 2, '--iters', 1,
                 '--warmup', 0, '--train')
    for part in ('stem (VAE encoder) [ms]', 'U-Net [ms]', 'total [ms]',
                 'iteration [ms]', 'images per second'):
        ours, theirs, ratio = map(float, rows[part])
        assert ours > 0 and theirs > 0
        expected = (ours / theirs)
        assert ratio == pytest.approx(expected, rel=0.1, abs=0.02)
    assert float(rows['peak memory [GiB]'][0]) > 0.1
    assert 'head [ms]' in rows


def test_a_dense_config_and_its_loader(hypersim_root):
    rows = table('--shape', 48, 64, '--batch-size', 2, '--iters', 2,
                 '--warmup', 0, '--train', '--loader', '--cfg-options',
                 f'train_dataloader.dataset.data_root={hypersim_root}',
                 'train_dataloader.batch_size=2', config=COLORMAP)
    assert float(rows['ratio'][0]) == pytest.approx(
        float(rows['images per second'][0]) / float(
            rows['training iterations'][0]), rel=.1)


def table(*options, config=MINI_CONFIG):
    """Rows of numbers that the tool prints, by their names."""
    done = run_python('tools/analysis_tools/benchmark.py', config, *options)
    rows = {}
    for line in done.stdout.split('\n'):
        match = re.match(r'(.*?\S)\s{2,}(\d+\.\d+)\s*(\d+\.\d+)?\s*'
                         r'(\d+\.\d+)?$', line)
        if match:
            rows[match[1]] = match.groups()[1:]
    return rows


@pytest.mark.parametrize('config', [MINI_CONFIG, COLORMAP])
def test_the_peer_computes_the_same_features(config):
    import runpy

    import torch
    from mmengine.config import Config

    import genpercept_mm  # noqa: F401
    tool = runpy.run_path('tools/analysis_tools/benchmark.py')
    model = tool['build'](Config.fromfile(config), 'cpu').eval()
    peer = tool['PlainDiffusers'](model.backbone).eval()
    x = torch.rand(1, 3, 64, 96) * 2 - 1
    with torch.no_grad():
        for ours, theirs in zip(model.backbone(x), peer(x), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
