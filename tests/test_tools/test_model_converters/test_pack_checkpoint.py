"""Small checkpoints of mini trainings."""
import sys

import numpy as np
import pack_checkpoint
import pytest
import torch
from weights import write_checkpoint

from genpercept_mm.apis import DenseInferencer
from genpercept_mm.converters.conversion import read_checkpoint


@pytest.fixture
def run(monkeypatch):
    def convert(*args):
        monkeypatch.setattr(sys, 'argv', ['', *map(str, args)])
        pack_checkpoint.main()

    return convert


def test_a_packed_segmentor_predicts_without_auxiliary_head(
        run, tmp_path, capsys):
    source = write_checkpoint(
        tmp_path / 'seg.pth', 'configs/mini/genpercept_upernet_mini-hypersim'
        '.py')
    run(source, tmp_path / 'seg.npz', '--unpacked', tmp_path / 'again.pth')
    said = capsys.readouterr().out
    assert 'seg.npz' in said and 'MiB' in said
    packed = read_checkpoint(tmp_path / 'seg.npz')
    assert not any('auxiliary' in key for key in packed['state_dict'])
    again = torch.load(tmp_path / 'again.pth', weights_only=True)
    for key, value in packed['state_dict'].items():
        assert torch.equal(again['state_dict'][key], value)
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    result = DenseInferencer(str(tmp_path / 'seg.npz'), device='cpu')(image)
    assert result['sem_seg'].shape == (48, 64) and len(
        result['classes']) == 40


def test_other_suffixes_write_nothing(run, tmp_path):
    with pytest.raises(SystemExit, match='OUT must end in .npz'):
        run(tmp_path / 'a.pth', tmp_path / 'a.pth')
