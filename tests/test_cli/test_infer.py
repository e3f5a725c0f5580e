"""``genpercept infer`` and ``tools/infer.py``."""
import cv2
import numpy as np
import pytest
from conftest import make_once
from weights import write_checkpoint

from genpercept_mm.apis import DenseInferencer
from genpercept_mm.cli.main import main

CONFIG = 'configs/mini/genpercept_vae_mini-hypersim-depth.py'


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory):
    folder = make_once(
        tmp_path_factory, 'infer',
        lambda folder: write_checkpoint(f'{folder}/depth.pth', CONFIG))
    return f'{folder}/depth.pth'


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / 'photos'
    (folder / 'sub').mkdir(parents=True)
    for seed, name in enumerate(('a.png', 'sub/a.jpg')):
        rng = np.random.default_rng(seed)
        cv2.imwrite(str(folder / name), rng.integers(
            0, 256, (40, 60, 3)).astype(np.uint8))
    return folder


def test_a_folder_becomes_maps(checkpoint, photos, tmp_path, capsys):
    out = tmp_path / 'out'
    assert main(['infer', checkpoint, str(photos), '--out', str(out),
                 '--device', 'cpu', '--save', 'npy', 'picture']) == 0
    found = sorted(str(path.relative_to(out)) for path in out.rglob('*.*'))
    assert found == ['a_depth.npy', 'a_depth.png', 'sub/a_depth.npy',
                     'sub/a_depth.png']
    said = capsys.readouterr().out
    assert '2 x depth' in said and 'near 0.0' in said
    assert 'longer edge 128' in said


def test_broken_files_are_listed_at_the_end(checkpoint, photos, tmp_path,
                                            capsys):
    (photos / 'broken.png').write_bytes(b'x')
    out = tmp_path / 'out'
    assert main(['infer', checkpoint, str(photos), '--out', str(out),
                 '--device', 'cpu', '--save', 'npy']) == 1
    assert len(list(out.rglob('*.npy'))) == 2
    said = capsys.readouterr()
    assert '2 x depth' in said.out
    assert 'broken.png cannot be read' in said.err
    assert '1 of 3 inputs failed' in said.err


@pytest.mark.parametrize('argv, message', [
    (['none.pth', '.'], "'none.pth' is not a config file"),
    ([None, 'none.jpg'], 'none.jpg does not exist'),
    ([None, '.', '--size', '-1'], 'size must be a positive integer')])
def test_errors_are_one_line(checkpoint, tmp_path, capsys, argv, message):
    argv = [checkpoint if part is None else part for part in argv]
    assert main(['infer', *argv, '--out', str(tmp_path / 'out')]) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith('genpercept infer: ') and message in said
    assert '\n' not in said
    assert not (tmp_path / 'out').exists()


def test_an_interruption_says_what_is_there(checkpoint, photos, tmp_path,
                                            capsys, monkeypatch):
    stock = DenseInferencer.stream

    def stream(self, *args, **kwargs):
        yield next(stock(self, *args, **kwargs))
        raise KeyboardInterrupt

    monkeypatch.setattr(DenseInferencer, 'stream', stream)
    out = tmp_path / 'out'
    assert main(['infer', checkpoint, str(photos), '--out', str(out),
                 '--device', 'cpu', '--save', 'npy']) == 130
    assert 'stopped; the first 1 results' in capsys.readouterr().err
    assert len(list(out.rglob('*.npy'))) == 1


@pytest.mark.slow
def test_the_tool_does_the_same(checkpoint, photos, tmp_path, run_python):
    out = tmp_path / 'out'
    done = run_python('tools/infer.py', checkpoint, str(photos / 'a.png'),
                      '--out', str(out), '--device', 'cpu')
    assert '1 x depth' in done.stdout
    assert (out / 'a_depth_16bit.png').is_file()


def test_metres_from_a_sparse_depth_picture(checkpoint, photos, tmp_path,
                                            capsys):
    pred = DenseInferencer(checkpoint, device='cpu')(
        str(photos / 'a.png'))['depth']
    sparse = np.zeros((40, 60), np.uint16)
    sparse[::7, ::7] = np.round((4 * pred + 1)[::7, ::7] * 256)
    cv2.imwrite(str(tmp_path / 'sparse.png'), sparse)
    out = tmp_path / 'out'
    argv = ['infer', checkpoint, str(photos / 'a.png'), '--out', str(out),
            '--device', 'cpu', '--calibrate']
    assert main([*argv, str(tmp_path / 'sparse.png'), '--depth-scale',
                 '1/256', '--focal', '70']) == 0
    assert '54 of 54 points agree' in capsys.readouterr().out
    np.testing.assert_allclose(
        np.load(out / 'a_depth_metres.npy'), 4 * pred + 1, rtol=.02)
    assert (out / 'a_depth.ply').is_file()
    # what was saved serves again, and says nothing of points
    assert main([*argv, str(out / 'a_depth_calibration.json')]) == 0
    assert 'agree' not in capsys.readouterr().out


def test_a_map_without_points_is_kept_and_told(checkpoint, photos, tmp_path,
                                               capsys):
    out = tmp_path / 'out'
    (tmp_path / 'points').mkdir()
    assert main(['infer', checkpoint, str(photos / 'a.png'), '--out',
                 str(out), '--device', 'cpu', '--calibrate',
                 str(tmp_path / 'points')]) == 1
    said = capsys.readouterr()
    assert '1 x depth' in said.out and (out / 'a_depth.png').is_file()
    assert 'has no points for a' in said.err and '1 of 1 inputs' in said.err
