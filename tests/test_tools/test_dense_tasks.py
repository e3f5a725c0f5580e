"""Dense tasks through the command line: real frames, bad input, resume."""
import json
import os.path as osp
import shutil
from glob import glob

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT

TRAIN = [
    '--cfg-options', 'train_cfg.max_iters=1', 'train_cfg.val_interval=1',
    'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'val_dataloader.persistent_workers=False',
    'train_dataloader.batch_size=2', 'default_hooks.logger.interval=1']


def pairs_config(tmp_path, base, label, more='', pipeline=''):
    """A mini config on two folders below ``tmp_path``."""
    load = dict(depth='LoadDepth', normal='LoadNormal', alpha='LoadAlpha')
    config = tmp_path / 'config.py'
    config.write_text(f"""
_base_ = ['{ROOT}/configs/mini/genpercept_{base}.py']
pairs = dict(
    _delete_=True, type='genpercept_mm.FolderPairsDataset',
    data_root='{tmp_path}', img_dir='images', label_dir='labels',
    label='{label}' {more})
train_dataloader = dict(dataset=dict(**pairs, pipeline=[
    dict(type='LoadImageFromFile'), dict(type='genpercept_mm.{load[label]}'),
    dict(type='genpercept_mm.EncodeTarget', codec={{{{_base_.codec}}}}),
    dict(type='genpercept_mm.PackDenseInputs')]))
val_dataloader = dict(dataset=dict(**pairs, pipeline=[
    dict(type='LoadImageFromFile'), dict(type='genpercept_mm.{load[label]}'),
    dict(type='genpercept_mm.PackDenseInputs')], test_mode=True))
""")
    return config


def write_pairs(tmp_path, labels):
    rng = np.random.default_rng(0)
    for folder in ('images', 'labels'):
        (tmp_path / folder).mkdir()
    for index, label in enumerate(labels):
        image = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f'images/{index}.png'), image)
        if label.dtype.kind == 'f':
            np.save(tmp_path / f'labels/{index}.npy', label)
        else:
            cv2.imwrite(str(tmp_path / f'labels/{index}.png'), label)


def ramp():
    return np.tile(np.linspace(1, 5, 64, dtype=np.float32), (48, 1))


def train(run_python, config, check=True):
    done = run_python('tools/train.py', config, '--work-dir',
                      osp.join(osp.dirname(config), 'work'), *TRAIN,
                      check=check)
    return done, done.stdout + done.stderr


def test_depth_with_holes_nan_and_constants_trains(tmp_path, run_python):
    """No valid pixel, one constant depth, NaN and inf: the run goes on and
    says what it found."""
    broken = ramp()
    broken[:5] = np.nan
    broken[5:9] = np.inf
    write_pairs(tmp_path, [np.zeros((48, 64), np.float32), ramp(), broken,
                           np.full((48, 64), 3, np.float32)])
    done, text = train(run_python, pairs_config(
        tmp_path, 'vae_mini-hypersim-depth', 'depth',
        ', depth_range=(0, 80)'))
    assert 'has no valid pixel' in text
    assert 'abs_rel: ' in text and 'loss: nan' not in text
    assert 'image(s) without a valid pixel' in text


def test_images_without_any_valid_pixel_still_train(tmp_path, run_python):
    """Zero loss, not NaN; evaluation says that there is nothing."""
    write_pairs(tmp_path, [np.zeros((48, 64), np.float32)] * 3)
    done, text = train(run_python, pairs_config(
        tmp_path, 'vae_mini-hypersim-depth', 'depth'), check=False)
    assert 'loss: 0.0000' in text
    assert done.returncode and 'nothing to evaluate' in text


def test_wrong_codec_names_the_data_set_and_its_labels(tmp_path, run_python):
    write_pairs(tmp_path, [ramp()] * 3)
    done, text = train(run_python, pairs_config(
        tmp_path, 'vae_mini-hypersim-normal', 'depth'), check=False)
    assert done.returncode
    assert 'NormalCodec needs gt_normal_map' in text
    assert 'gt_depth_map' in text and 'folder_pairs' in text


def test_label_of_another_size_names_the_files(tmp_path, run_python):
    write_pairs(tmp_path, [np.full((40, 64), 128, np.uint8)] * 3)
    done, text = train(run_python, pairs_config(
        tmp_path, 'vae_mini-p3m10k-matting', 'alpha'), check=False)
    assert done.returncode
    assert '(40, 64)' in text and '(48, 64)' in text and 'labels/' in text


@pytest.mark.slow
def test_normals_in_other_axes_are_noticed(own_geometry, tmp_path,
                                           run_python):
    """Depth and normals of one plane, declared in the wrong frame."""
    config = tmp_path / 'config.py'
    config.write_text(f"""
_base_ = ['{ROOT}/configs/mini/genpercept_vae_mini-hypersim-normal.py']
train_dataloader = dict(dataset=dict(
    data_root='{own_geometry}', labels=['normal', 'depth'], pipeline=[
        dict(type='genpercept_mm.LoadHypersimImage'),
        dict(type='genpercept_mm.LoadDepth'),
        dict(type='genpercept_mm.LoadNormal', axes='opencv'),
        dict(type='genpercept_mm.EncodeTarget', codec={{{{_base_.codec}}}}),
        dict(type='genpercept_mm.PackDenseInputs')]))
val_dataloader = dict(dataset=dict(data_root='{own_geometry}'))
""")
    _, text = train(run_python, config)
    assert "Set axes='genpercept'" in text


@pytest.fixture
def own_geometry(own_hypersim_root):
    """The small Hypersim with a slanted plane as geometry."""
    import h5py
    rows, columns = np.mgrid[:48, :64]
    # standard camera: image plane at distance 1, 2 tan(30 deg) wide
    x = (columns + .5 - 32) / 32 * .57735027
    y = -(rows + .5 - 24) / 24 * .43301272
    normal = np.array([.3, .4, 1]) / np.linalg.norm([.3, .4, 1])
    rays = np.stack([x, y, -np.ones_like(x)], axis=2)
    distance = -4 / (rays @ normal) * np.linalg.norm(rays, axis=2)
    for path in glob(osp.join(own_hypersim_root, '*', 'images', '*_geometry_*',
                              '*.semantic.hdf5')):
        for kind, array in (
                ('depth_meters', distance.astype(np.float32)),
                ('normal_cam', np.tile(normal.astype(np.float32),
                                       (48, 64, 1)))):
            with h5py.File(path.replace('semantic', kind), 'w') as file:
                file['dataset'] = array
    return own_hypersim_root


def test_list_with_missing_columns(tmp_path, run_python):
    root = tmp_path / 'nyuv2'
    root.mkdir()
    (root / 'filename_list_test.txt').write_text('test/a/rgb_0001.png\n')
    config = tmp_path / 'config.py'
    config.write_text(f"""
_base_ = ['{ROOT}/configs/mini/genpercept_vae_mini-hypersim-depth.py']
train_dataloader = dict(dataset=dict(
    _delete_=True, type='genpercept_mm.NYUDepthDataset',
    data_root='{root}', pipeline=[]))
""")
    done, text = train(run_python, config, check=False)
    assert done.returncode
    assert 'filename_list_test.txt' in text and 'line 1' in text


@pytest.fixture
def real_depth(samples, tmp_path):
    """The KITTI and NYU frames in the layouts of the benchmarks."""
    kitti, nyu = tmp_path / 'kitti', tmp_path / 'nyuv2'
    for folder in (kitti, nyu):
        folder.mkdir()
    shutil.copy(f'{samples}/kitti/rgb_0000000005.png', kitti / 'rgb.png')
    shutil.copy(f'{samples}/kitti/depth_0000000005.png', kitti / 'depth.png')
    (kitti / 'eigen_test_files_with_gt.txt').write_text(
        'rgb.png depth.png 721.5377\n')
    shutil.copy(f'{samples}/nyu/rgb_00000.jpg', nyu / 'rgb.jpg')
    shutil.copy(f'{samples}/nyu/sync_depth_00000.png', nyu / 'depth.png')
    (nyu / 'filename_list_test.txt').write_text('rgb.jpg depth.png none\n')
    config = tmp_path / 'config.py'
    config.write_text(f"""
_base_ = ['{ROOT}/configs/mini/genpercept_vae_mini-hypersim-depth.py']
load = [dict(type='LoadImageFromFile'), dict(type='genpercept_mm.LoadDepth')]
pack = dict(type='genpercept_mm.PackDenseInputs')
test_dataloader = dict(
    _delete_=True, batch_size=1, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ConcatDataset', datasets=[
        dict(type='genpercept_mm.KITTIDepthDataset', data_root='{kitti}',
             pipeline=[*load, dict(type='genpercept_mm.KITTIBenchmarkCrop'),
                       pack], test_mode=True),
        dict(type='genpercept_mm.NYUDepthDataset', data_root='{nyu}',
             pipeline=[*load, pack], test_mode=True)]))
test_evaluator = [
    dict(type='genpercept_mm.AffineDepthMetric', dataset_name='kitti',
         crop='eigen_kitti'),
    dict(type='genpercept_mm.AffineDepthMetric', dataset_name='nyuv2',
         min_depth=1e-3, max_depth=10, crop='eigen_nyu')]
""")
    return str(config)


def random_checkpoint(config, path):
    """Random weights of a config's model."""
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    import genpercept_mm  # noqa: F401
    from mmseg.registry import MODELS  # isort: skip
    cfg = Config.fromfile(config)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


def results_of(work_dir):
    path, = glob(osp.join(work_dir, '*', '*.json'))
    with open(path) as file:
        return json.load(file)


@pytest.mark.nightly
def test_real_depth_frames_are_evaluated_and_drawn(
        real_depth, tmp_path, run_python):
    checkpoint = random_checkpoint(real_depth, str(tmp_path / 'random.pth'))
    run_python('tools/test.py', real_depth, checkpoint, '--work-dir',
               tmp_path / 'work', '--show-dir', tmp_path / 'pictures',
               '--out', tmp_path / 'files')
    results = results_of(tmp_path / 'work')
    for name, size in (('kitti', (352, 1216)), ('nyuv2', (480, 640))):
        assert 0 < results[f'{name}/abs_rel'] < 1
        written, = (tmp_path / 'files' / name).rglob('*.npy')
        assert np.load(written).squeeze().shape == size
    assert len(list((tmp_path / 'pictures').rglob('*.png'))) == 2


def test_perfect_and_affine_predictions_of_real_frames(real_depth):
    """0.5 * d - 0.01 is the same affine-invariant map as d."""
    from mmengine.config import Config
    from mmengine.registry import DATASETS, METRICS, DefaultScope
    from mmengine.structures import PixelData

    import genpercept_mm  # noqa: F401
    cfg = Config.fromfile(real_depth)
    for scale, shift in ((1., 0.), (.5, -.01), (3., 7.)):
        with DefaultScope.overwrite_default_scope('mmseg'):
            parts = [DATASETS.build(part)
                     for part in cfg.test_dataloader.dataset.datasets]
            metrics = [METRICS.build(part) for part in cfg.test_evaluator]
        for dataset, metric in zip(parts, metrics):
            sample = dataset[0]['data_samples']
            depth = sample.gt_depth_map.data.double()
            sample.set_data(dict(pred_depth_map=PixelData(
                data=depth * scale + shift)))
            metric.process({}, [sample.to_dict()])
            found = metric.evaluate(1)
            assert found[f'{metric.prefix}/abs_rel'] < 1e-6
            assert found[f'{metric.prefix}/delta1'] == 1


def test_real_matte_is_evaluated(samples, tmp_path, run_python):
    for folder, name in (('images', 'lemur.png'),
                         ('labels', 'lemur_alpha.png')):
        (tmp_path / folder).mkdir()
        image = cv2.imread(f'{samples}/matting/{name}', cv2.IMREAD_UNCHANGED)
        image = cv2.resize(image, None, fx=.25, fy=.25,
                           interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(tmp_path / folder / 'lemur.png'), image)
    config = pairs_config(tmp_path, 'vae_mini-p3m10k-matting', 'alpha')
    with open(config, 'a') as file:
        file.write('test_dataloader = val_dataloader\n')
    checkpoint = random_checkpoint(str(config), str(tmp_path / 'random.pth'))
    run_python('tools/test.py', config, checkpoint, '--work-dir',
               tmp_path / 'work', '--show-dir', tmp_path / 'pictures')
    results = results_of(tmp_path / 'work')
    assert 0 < results['mad'] < 1 and results['mse'] <= results['mad']
    assert len(list((tmp_path / 'pictures').rglob('*.png'))) == 1


def test_a_mixture_resumes_without_reading_what_it_trained_on(
        tmp_path, run_python):
    """tools/train.py --resume on the sampler of the paper's configs."""
    write_pairs(tmp_path, [ramp() + index for index in range(6)])
    config = pairs_config(tmp_path, 'vae_mini-hypersim-depth', 'depth')
    with open(config, 'a') as file:
        file.write("train_dataloader['batch_sampler'] = dict("
                   "type='genpercept_mm.MixtureSampler')\n"
                   "train_dataloader['sampler'] = dict("
                   "type='InfiniteSampler')\n")
    train(run_python, config)
    longer = [option.replace('max_iters=1', 'max_iters=2')
              for option in TRAIN]
    done = run_python('tools/train.py', config, '--work-dir',
                      tmp_path / 'work', '--resume', *longer,
                      'default_hooks.checkpoint.interval=1')
    text = done.stdout + done.stderr
    assert 'Iter(train) [2/2]' in text
    assert 'Iter(train) [1/2]' not in text
    assert 'earlier ones are not loaded' in text
