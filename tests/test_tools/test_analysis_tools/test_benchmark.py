import re
import sys

import benchmark
import pytest
from conftest import MINI_CONFIG, run_python

COLORMAP = 'configs/mini/genpercept_vae_mini-hypersim-seg.py'


def rows_of(text):
    """Rows of numbers that the tool prints, by their names."""
    rows = {}
    for line in text.split('\n'):
        match = re.match(r'(.*?\S)\s{2,}(\d+\.\d+)\s*(\d+\.\d+)?\s*'
                         r'(\d+\.\d+)?$', line)
        if match:
            rows[match[1]] = match.groups()[1:]
    return rows


@pytest.mark.slow
def test_prints_every_part_and_a_ratio_to_plain_diffusers():
    done = run_python(
        'tools/analysis_tools/benchmark.py', MINI_CONFIG, '--shape', 64, 96,
        '--batch-size', 2, '--iters', 1, '--warmup', 0, '--train')
    rows = rows_of(done.stdout)
    for part in ('stem (VAE encoder) [ms]', 'U-Net [ms]', 'total [ms]',
                 'iteration [ms]', 'images per second'):
        ours, theirs, ratio = map(float, rows[part])
        assert ours > 0 and theirs > 0
        expected = (ours / theirs)
        assert ratio == pytest.approx(expected, rel=0.1, abs=0.02)
    assert float(rows['peak memory [GiB]'][0]) > 0.1
    assert 'head [ms]' in rows


def test_a_dense_config_and_its_loader(hypersim_root, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [
        'benchmark.py', COLORMAP, '--shape', '48', '64', '--batch-size', '2',
        '--iters', '2', '--warmup', '0', '--train', '--loader',
        '--cfg-options',
        f'train_dataloader.dataset.data_root={hypersim_root}',
        'train_dataloader.batch_size=2', 'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False'])
    benchmark.main()
    rows = rows_of(capsys.readouterr().out)
    assert float(rows['ratio'][0]) == pytest.approx(
        float(rows['images per second'][0]) / float(
            rows['training iterations'][0]), rel=.1)
