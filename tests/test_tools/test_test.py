import os
import os.path as osp
import pickle
import re
from glob import glob

import cv2
import numpy as np
import pytest
import torch
from conftest import MINI_CONFIG, ROOT, mini_options, run_python
from PIL import Image

ADE_CONFIG = 'configs/mini/genpercept_upernet_mini-ade20k.py'


def run_test(checkpoint, data_root, work_dir, *flags, check=True,
             config=MINI_CONFIG):
    return run_python(
        'tools/test.py', config, checkpoint, '--work-dir', work_dir,
        *flags, *mini_options(data_root), check=check)


def miou(done):
    return float(re.search(r'mIoU: ([\d.]+)', done.stdout + done.stderr)[1])


def test_metric_files_and_pictures(hypersim_root, trained_mini, tmp_path):
    out, show = str(tmp_path / 'out'), str(tmp_path / 'show')
    done = run_test(
        osp.join(trained_mini, 'iter_2.pth'), hypersim_root,
        str(tmp_path / 'work'), '--out', out, '--show-dir', show)
    names = [f'ai_002_001_cam_00_fr000{i}' for i in range(3)]
    assert sorted(os.listdir(out)) == [f'{name}.png' for name in names]
    pictures = glob(osp.join(show, '**/*.png'), recursive=True)
    assert sorted(osp.basename(p) for p in pictures) == [
        f'test_{name}_0.png' for name in names]
    # the files are the predictions that were scored
    ids = np.arange(48)[:, None] * 4 // 48 * np.ones((1, 64), int)
    intersection, union = np.zeros(40), np.zeros(40)
    for name in names:
        prediction = cv2.imread(osp.join(out, f'{name}.png'), -1)
        assert prediction.shape == (48, 64)
        for k in range(40):
            hit = (prediction == k)[1:], (ids == k)[1:]
            intersection[k] += (hit[0] & hit[1]).sum()
            union[k] += (hit[0] | hit[1]).sum()
    expected = 100 * (intersection[union > 0] / union[union > 0]).mean()
    assert miou(done) == pytest.approx(expected, abs=0.01)


@pytest.mark.slow
def test_tta_and_raw_results(hypersim_root, trained_mini, tmp_path):
    out = str(tmp_path / 'results.pkl')
    run_test(osp.join(trained_mini, 'iter_2.pth'), hypersim_root,
             str(tmp_path / 'work'), '--tta', '--out', out)
    with open(out, 'rb') as file:
        results = pickle.load(file)
    assert len(results) == 3
    assert results[0]['pred_sem_seg']['data'].shape == (1, 48, 64)


@pytest.mark.slow
@pytest.mark.parametrize('changes, message', [
    ('model = dict(decode_head=dict(num_classes=5))',
     'does not belong to this config: 0 of .* 2 have another shape '
     r'.*decode_head.conv_seg.weight: \(40, 64, 1, 1\) there, \(5, '),
    ("model = dict(backbone=dict(out_indices=(0, 1, 2, 3, 4)))",
     'does not belong to this config: 4 of .* missing .*conv_norm_out'),
])
def test_checkpoint_of_another_model_is_refused(
        hypersim_root, trained_mini, tmp_path, changes, message):
    config = tmp_path / 'config.py'
    config.write_text(
        f"_base_ = ['{osp.join(ROOT, MINI_CONFIG)}']\n{changes}\n")
    done = run_test(osp.join(trained_mini, 'iter_2.pth'), hypersim_root,
                    str(tmp_path), check=False, config=config)
    assert done.returncode
    assert re.search(message, done.stderr[-3000:])


@pytest.fixture(scope='module')
def ade_checkpoint(tmp_path_factory):
    """Random weights of the mini ADE20K model."""
    from mmengine.config import Config
    from mmseg.registry import MODELS

    import genpercept_mm  # noqa: F401
    cfg = Config.fromfile(ADE_CONFIG)
    torch.manual_seed(0)
    from mmengine.registry import DefaultScope
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model)
    path = str(tmp_path_factory.mktemp('ade') / 'random.pth')
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


def ade(checkpoint, root, work_dir, *flags, images='images',
        labels='annotations', suffix='.jpg', **kwargs):
    return run_python(
        'tools/test.py', ADE_CONFIG, checkpoint, '--work-dir', work_dir,
        *flags, '--cfg-options',
        f'test_dataloader.dataset.data_root={root}',
        f'test_dataloader.dataset.data_prefix.img_path={images}',
        f'test_dataloader.dataset.data_prefix.seg_map_path={labels}',
        f'test_dataloader.dataset.img_suffix={suffix}',
        'test_dataloader.num_workers=0',
        'test_dataloader.persistent_workers=False', **kwargs)


@pytest.mark.nightly
@pytest.mark.slow
def test_real_ade20k_frames(samples, ade_checkpoint, tmp_path):
    show, out = str(tmp_path / 'show'), str(tmp_path / 'out')
    done = ade(ade_checkpoint, osp.join(samples, 'ade20k'),
               str(tmp_path / 'work'), '--show-dir', show, '--out', out)
    assert 0 <= miou(done) <= 100
    assert len(glob(osp.join(show, '**/*.png'), recursive=True)) == 2
    for name in ('ADE_val_00000001', 'ADE_val_00000002'):
        label = cv2.imread(
            osp.join(samples, 'ade20k/annotations', f'{name}.png'), -1)
        prediction = cv2.imread(osp.join(out, f'{name}.png'), -1)
        assert prediction.shape == label.shape
        # with reduce_zero_label, files are shifted back to 1..150
        assert 1 <= prediction.min() and prediction.max() <= 150


@pytest.mark.nightly
def test_sub_folders_are_kept_in_the_files_of_predictions(
        ade_checkpoint, tmp_path):
    """mmseg's metric, which the config names, would write one file."""
    rng = np.random.default_rng(0)
    for index, folder in enumerate(('a', 'b')):
        for kind in ('images', 'annotations'):
            (tmp_path / kind / folder).mkdir(parents=True)
        size = (32, 40 + 8 * index)
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(
            tmp_path / f'images/{folder}/0.png')
        Image.fromarray(np.full(size, 4, np.uint8)).save(
            tmp_path / f'annotations/{folder}/0.png')
    out = tmp_path / 'out'
    done = ade(ade_checkpoint, str(tmp_path), str(tmp_path / 'work'),
               '--out', str(out), suffix='.png')
    assert 'mIoU: ' in done.stdout + done.stderr
    assert sorted(str(path.relative_to(out)) for path
                  in out.rglob('*.png')) == ['a/0.png', 'b/0.png']
    for index, folder in enumerate(('a', 'b')):
        prediction = cv2.imread(str(out / folder / '0.png'), -1)
        assert prediction.shape == (32, 40 + 8 * index)


@pytest.mark.slow
@pytest.mark.parametrize('kind, message', [
    ('1x1', None), ('rgba', None),
    pytest.param('grey', None, marks=pytest.mark.nightly),
    pytest.param('16 bit', None, marks=pytest.mark.nightly),
    ('exif', 'EXIF'), ('id', 'label id 151'),
])
def test_unusual_images_through_the_command_line(
        ade_checkpoint, tmp_path, kind, message):
    for folder in ('images', 'annotations'):
        (tmp_path / folder).mkdir()
    size = (1, 1) if kind == '1x1' else (40, 52)
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (*size, 3), np.uint8)
    label = np.full(size, 151 if kind == 'id' else 4, np.uint8)
    path, options = str(tmp_path / 'images/a.png'), {}
    if kind == '16 bit':
        cv2.imwrite(path, picture.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(picture)
        if kind == 'grey':
            image = image.convert('L')
        elif kind == 'rgba':
            image.putalpha(100)
        elif kind == 'exif':
            options['exif'] = Image.Exif()
            options['exif'][0x0112] = 6
        image.save(path, **options)
    Image.fromarray(label).save(tmp_path / 'annotations/a.png')
    done = ade(ade_checkpoint, str(tmp_path), str(tmp_path / 'work'),
               suffix='.png', check=False)
    if message is None:
        assert done.returncode == 0, done.stderr[-2000:]
        assert 'mIoU: ' in done.stdout + done.stderr
    else:
        assert done.returncode and message in done.stderr[-2000:]
