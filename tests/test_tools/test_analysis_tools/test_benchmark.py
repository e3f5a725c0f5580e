import re

import pytest
from conftest import MINI_CONFIG, run_python


@pytest.mark.slow
def test_prints_every_part_and_a_ratio_to_plain_diffusers():
    done = run_python(
        'tools/analysis_tools/benchmark.py', MINI_CONFIG, '--shape', 64, 96,
        '--batch-size', 2, '--iters', 1, '--warmup', 0, '--train')
    rows = {}
    for line in done.stdout.split('\n'):
        match = re.match(r'(.*?\S)\s{2,}(\d+\.\d+)\s*(\d+\.\d+)?\s*'
                         r'(\d+\.\d+)?$', line)
        if match:
            rows.setdefault(match[1], match.groups()[1:])
    for part in ('stem (VAE encoder) [ms]', 'U-Net [ms]', 'total [ms]',
                 'iteration [ms]', 'images per second'):
        ours, theirs, ratio = map(float, rows[part])
        assert ours > 0 and theirs > 0
        expected = (ours / theirs)
        assert ratio == pytest.approx(expected, rel=0.1, abs=0.02)
    assert float(rows['peak memory [GiB]'][0]) > 0.1
    assert 'head [ms]' in rows


def test_the_peer_computes_the_same_features():
    import runpy

    import torch
    from mmengine.config import Config

    import genpercept_mm  # noqa: F401
    tool = runpy.run_path('tools/analysis_tools/benchmark.py')
    model = tool['build'](Config.fromfile(MINI_CONFIG), 'cpu').eval()
    peer = tool['PlainDiffusers'](model.backbone).eval()
    x = torch.rand(1, 3, 64, 96) * 2 - 1
    with torch.no_grad():
        for ours, theirs in zip(model.backbone(x), peer(x), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
