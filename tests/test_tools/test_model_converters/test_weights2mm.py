"""One script for folders of every family."""
import shutil
import sys

import numpy as np
import pytest
import weights2mm

import genpercept_mm
from genpercept_mm.apis import DenseInferencer

PRIOR = f'{genpercept_mm.__path__[0]}/weights/mini'


@pytest.fixture
def run(monkeypatch):
    def convert(*args):
        monkeypatch.setattr(sys, 'argv', ['', *map(str, args)])
        weights2mm.main()

    return convert


@pytest.fixture
def release(tmp_path):
    """The small prior in the layout of a GenPercept release."""
    folder = tmp_path / 'release'
    shutil.copytree(PRIOR, folder)
    (folder / 'unet').rename(folder / 'unet_depth_v2')
    return folder


def test_the_checkpoint_predicts_by_itself_as_the_folder_does(
        run, release, tmp_path, capsys):
    run(release, '--out', tmp_path / 'out.pth')
    assert "test_pipeline" in capsys.readouterr().out
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(
        np.uint8)
    maps = [DenseInferencer(source, device='cpu')(image, size=64)['depth']
            for source in (tmp_path / 'out.pth', release)]
    np.testing.assert_array_equal(*maps)
    assert maps[0].std() > 0


def test_what_cannot_be_converted_is_refused(run, release, tmp_path):
    out = tmp_path / 'out.pth'
    with pytest.raises(SystemExit, match='--out must end in .pth'):
        run(release, '--out', tmp_path / 'out.txt')
    with pytest.raises(SystemExit, match='nothing written.*none is not a'):
        run(tmp_path / 'none', '--out', out)
    with pytest.raises(SystemExit, match='nothing written.*task vector'):
        run(PRIOR, '--out', out, '--family', 'lotus', '--task', 'depth')
    assert not out.exists()
