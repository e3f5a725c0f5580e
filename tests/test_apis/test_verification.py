"""Published weights on a benchmark, against the numbers by hand."""
import json

import cv2
import numpy as np
import pytest
from conftest import make_once
from weights import write_checkpoint

from genpercept_mm.apis import DenseInferencer, verification, verify

CONFIG = 'configs/mini/genpercept_vae_mini-hypersim-depth.py'
NAME = 'genpercept-depth'


@pytest.fixture
def checkpoint(tmp_path_factory, monkeypatch):
    """Small weights in place of the published ones."""
    folder = make_once(
        tmp_path_factory, 'verify',
        lambda folder: write_checkpoint(f'{folder}/depth.pth', CONFIG))
    path = f'{folder}/depth.pth'
    monkeypatch.setattr(verification, 'get_weights', lambda name: path)
    monkeypatch.setattr(verification, 'weight_checksums',
                        lambda name: {f'{name}/file': 'abc'})
    return path


@pytest.fixture
def data(tmp_path):
    """Two frames in ScanNet's layout; the other benchmarks are missing."""
    root, rng = tmp_path / 'benchmarks' / 'scannet', np.random.default_rng(0)
    (root / 'scene').mkdir(parents=True)
    lines = []
    for index in range(2):
        image = cv2.resize(rng.integers(0, 256, (5, 6, 3)).astype(np.uint8),
                           (72, 56))
        metres = cv2.resize(rng.uniform(.5, 9, (4, 5)), (72, 56))
        metres[:3] = 0
        cv2.imwrite(str(root / f'scene/{index}.png'), image)
        cv2.imwrite(str(root / f'scene/{index}_depth.png'),
                    np.round(metres * 1000).astype(np.uint16))
        lines.append(f'scene/{index}.png scene/{index}_depth.png')
    (root / 'scannet_val_sampled_list_800_1.txt').write_text(
        '\n'.join(lines) + '\n')
    return tmp_path / 'benchmarks'


def errors_by_hand(checkpoint, root):
    inferencer, errors = DenseInferencer(checkpoint, device='cpu'), []
    for index in range(2):
        pred = inferencer(str(root / f'scannet/scene/{index}.png'),
                          size='native')['depth'].astype(float)
        label = cv2.imread(str(root / f'scannet/scene/{index}_depth.png'),
                           -1) / 1000
        valid = (label > 1e-3) & (label < 10)
        design = np.stack([pred[valid], np.ones(valid.sum())], 1)
        fit = np.linalg.lstsq(design, label[valid], rcond=None)[0]
        metres = np.clip(design @ fit, 1e-3, 10)
        errors.append(np.mean(np.abs(metres - label[valid]) / label[valid]))
    return np.mean(errors)


def test_ours_beside_the_papers_number(checkpoint, data, tmp_path):
    out = str(tmp_path / 'report.json')
    report = verify(NAME, str(data), out, 'cpu', num_workers=0)
    (label, result), = report['benchmarks'].items()
    assert label == 'scannet' and result['images'] == 2
    assert result['ours']['abs_rel'] == pytest.approx(
        errors_by_hand(checkpoint, data), rel=1e-4)
    assert result['paper'] == dict(abs_rel=.056)
    with open(out) as file:
        written = json.load(file)
    assert written == report and written['weights'] == {
        f'{NAME}/file': 'abc'}
    assert ['scannet', '2', 'abs_rel'] == verification.table(report)[1][:3]


def test_what_is_done_is_not_done_again(checkpoint, data, tmp_path,
                                        monkeypatch):
    out = str(tmp_path / 'report.json')
    report = verify(NAME, str(data), out, 'cpu', num_workers=0)

    def evaluate(*args):
        raise AssertionError('ran again')

    monkeypatch.setattr(verification, '_evaluate', evaluate)
    assert verify(NAME, str(data), out, 'cpu')['benchmarks'] == (
        report['benchmarks'])
    monkeypatch.setattr(verification, 'weight_checksums',
                        lambda name: {f'{name}/file': 'def'})
    with pytest.raises(ValueError, match='the report of other weights'):
        verify(NAME, str(data), out, 'cpu')


def test_missing_data_is_named(checkpoint, tmp_path):
    with pytest.raises(FileNotFoundError,
                       match='holds no benchmark of depth') as error:
        verify(NAME, str(tmp_path))
    for name in ('kitti', 'nyuv2', 'scannet', 'diode', 'eth3d'):
        assert str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize('task', verification.CONFIGS)
def test_each_task_has_benchmarks_with_their_own_metrics(task):
    cfg = verification._task_config(task)
    parts = list(verification._split(cfg))
    assert parts
    for part in parts:
        assert part.data_root.startswith('data/')
        assert not isinstance(part.get('subset'), (list, tuple))
