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


def agrees(ratio, first, second, digit=.01):
    """Whether a ratio is that of two numbers, all rounded when printed."""
    half = digit / 2 * 1.001
    return ((first - half) / (second + half) - half <= ratio
            <= (first + half) / max(second - half, 1e-9) + half)


def test_rows_show_times_in_ms_and_their_ratio(capsys):
    benchmark.show('inference', dict(
        head=[.0301], total=[.5, .4], memory=[1.5, 2.]), 2, cuda=True)
    assert rows_of(capsys.readouterr().out) == {
        'head [ms]': ('30.10', None, None),
        'total [ms]': ('500.00', '400.00', '1.25'),
        'peak memory [GiB]': ('1.50', '2.00', '0.75'),
        'images per second': ('4.00', '5.00', '0.80')}
    # a CPU process has one peak, so the peer's is not shown
    benchmark.show('inference', dict(
        total=[.5, .4], memory=[1.5, 2.]), 2, cuda=False)
    assert rows_of(capsys.readouterr().out)['peak memory [GiB]'] == (
        '1.50', None, None)


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
        assert agrees(ratio, ours, theirs)
    assert float(rows['peak memory [GiB]'][0]) > 0.1
    assert 'head [ms]' in rows


@pytest.mark.nightly
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
    assert agrees(*(float(rows[name][0]) for name in (
        'ratio', 'images per second', 'training iterations')))
