"""A task is a codec: the example of docs/, in one file, trains and evaluates.
"""
import os.path as osp

import cv2
import numpy as np
import pytest
from conftest import ROOT
from mmengine.config import Config

from genpercept_mm.codecs import BaseDenseCodec, directional_label_keys
from genpercept_mm.diffusion.ensembling import ENSEMBLES
from genpercept_mm.registry import CODECS


def blocks_of(document, section=''):
    """The Python blocks of a document in docs/, or of a section of it."""
    with open(osp.join(ROOT, 'docs', f'{document}.md')) as file:
        text = file.read()
    if section:
        text = text.split(f'## {section}\n')[1].split('\n## ')[0]
    return [part.split('```')[0] for part in text.split('```python\n')[1:]]


def write_pairs(folder, labels):
    """Random pictures, and how far apart their channels are as labels."""
    rng = np.random.default_rng(0)
    for kind in ('images', labels):
        (folder / kind).mkdir(parents=True)
    for index in range(2):
        image = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'images/{index}.png'), image)
        cv2.imwrite(str(folder / f'{labels}/{index}.png'),
                    image.max(2) - image.min(2))


OPTIONS = [
    '--cfg-options', 'train_cfg.max_iters=2', 'train_cfg.val_interval=2',
    'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'val_dataloader.persistent_workers=False',
    'train_dataloader.batch_size=2', 'default_hooks.logger.interval=1']


def small_sizes(path):
    """Options that let the pipelines of a config resize to 64 pixels."""
    cfg, options = Config.fromfile(path), []
    for loader in ('train_dataloader', 'val_dataloader'):
        for index, step in enumerate(cfg[loader].dataset.pipeline):
            for name, value in (('scale', '(64,48)'), ('long_edge', 64)):
                if step.type.endswith('DenseResize') and step.get(name):
                    options.append(f'{loader}.dataset.pipeline.{index}.'
                                   f'{name}={value}')
    return options


def test_the_toy_task_of_the_readme_trains_and_is_evaluated(
        tmp_path, run_python):
    """It takes under 60 lines and no edit elsewhere, and trains."""
    module, config = blocks_of('add_a_task')
    assert len((module + config).strip().split('\n')) < 60
    write_pairs(tmp_path / 'toy', 'labels')
    (tmp_path / 'saturation.py').write_text(module)
    (tmp_path / 'config.py').write_text(
        config.replace('configs/', f'{ROOT}/configs/').replace(
            'data/toy', str(tmp_path / 'toy')))
    done = run_python(
        'tools/train.py', tmp_path / 'config.py', '--work-dir',
        tmp_path / 'work', *OPTIONS, python_path=[str(tmp_path)],
        fresh=False)
    text = done.stdout + done.stderr
    assert 'decode.loss_mse' in text
    assert 'mae: ' in text
    assert list((tmp_path / 'work').rglob('vis_image/*.png'))


@pytest.mark.parametrize('block, head, metric', [
    (0, 'arch="mini"', 'sad: '),
    pytest.param(1, 'arch="mini"', 'abs_rel: ', marks=pytest.mark.nightly)])
def test_fine_tuning_on_two_folders_as_the_readme_says(
        block, head, metric, tmp_path, run_python):
    """The config as it stands there; a child makes the network small."""
    config = blocks_of('training', 'Fine-tune on your data')[block]
    assert len(config.strip().split('\n')) < 15
    write_pairs(tmp_path / 'mine', 'labels')
    for path in (tmp_path / 'mine' / 'labels').iterdir():
        if block:
            # depth PNG has 16 bits
            cv2.imwrite(str(path), cv2.imread(
                str(path), cv2.IMREAD_UNCHANGED).astype(np.uint16) * 10 + 9)
    (tmp_path / 'mine.py').write_text(
        config.replace('configs/', f'{ROOT}/configs/').replace(
            'data/mine', str(tmp_path / 'mine')))
    (tmp_path / 'config.py').write_text(f"""
_base_ = ['{tmp_path}/mine.py']
load_from = None
model = dict(backbone=dict({head}, pretrained=None),
             decode_head=dict({head}, pretrained=None))
""")
    options = small_sizes(tmp_path / 'config.py')
    assert options
    done = run_python('tools/train.py', tmp_path / 'config.py', '--work-dir',
                      tmp_path / 'work', *OPTIONS, *options)
    assert metric in done.stdout + done.stderr


def test_predicting_on_a_folder_as_the_readme_says(tmp_path, run_python):
    import torch
    from mmengine.registry import MODELS, DefaultScope

    import genpercept_mm  # noqa: F401
    config, = blocks_of('inference', 'With a config')
    write_pairs(tmp_path / 'mine', 'unused')
    (tmp_path / 'mine.py').write_text(
        config.replace('configs/', f'{ROOT}/configs/').replace(
            'data/mine', str(tmp_path / 'mine')).replace(
                "'predictions'", repr(str(tmp_path / 'predictions'))))
    (tmp_path / 'config.py').write_text(f"""
_base_ = ['{tmp_path}/mine.py']
model = dict(backbone=dict(arch='mini'), decode_head=dict(arch='mini'))
test_dataloader = dict(num_workers=0)
""")
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(Config.fromfile(tmp_path / 'config.py').model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'random.pth')
    run_python('tools/test.py', tmp_path / 'config.py',
               tmp_path / 'random.pth', '--work-dir', tmp_path / 'work',
               '--show-dir', tmp_path / 'pictures')
    files = sorted((tmp_path / 'predictions').rglob('*.png'))
    assert [file.stem for file in files] == ['0', '1']
    assert cv2.imread(str(files[0]), cv2.IMREAD_UNCHANGED).shape == (48, 64)
    assert len(list((tmp_path / 'pictures').rglob('*.png'))) == 2


def test_names_follow_from_label_and_quantity():

    class Heat(BaseDenseCodec):
        label, quantity = 'raw', 'heat'

        def encode(self, label, mask=None):
            return (label[..., None] / 50 - 1).astype(np.float32), label > -1

        def decode(self, output):
            return (output + 1) * 50

        def colorize(self, quantity):
            return np.zeros((*quantity.shape, 3), np.uint8)

    codec = Heat()
    assert codec.label_key == codec.gt_field == 'gt_raw_map'
    assert codec.mask_key == 'gt_raw_mask'
    assert codec.pred_field == 'pred_heat_map'
    label = np.array([[0., 25.], [50., 100.]])
    np.testing.assert_allclose(codec.show_label(label), label)
    assert codec.mirror(label, channel_axis=0) is label
    assert not codec.mirrors and codec.error_map(label, label, None) is None
    mean, median = codec.best_constants([label, label[:1]])
    assert (mean, median) == (pytest.approx([200 / 6]), 25)


def test_directional_labels_are_found_by_name():
    assert directional_label_keys() == {'gt_normal_map'}
    assert CODECS.build(dict(type='NormalCodec')).mirrors


def test_the_best_constants_score_best():
    """Against a search over all constants."""
    rng = np.random.default_rng(0)
    masks = [(rng.random((6, 8)) < share).astype(np.float32)
             for share in (.1, .7)]
    codec = CODECS.build(dict(type='MatteCodec'))
    candidates = np.array(codec.best_constants(masks))[:, 0]
    for power in (1, 2):  # mean absolute, mean squared error
        errors = [np.mean(np.abs(np.stack(masks) - constant)**power)
                  for constant in (*candidates, *np.linspace(0, 1, 101))]
        assert min(errors[:4]) <= min(errors[4:]) + 1e-6

    ids = [rng.choice([0, 3, 7, 255], (6, 8), p=[.2, .1, .3, .4])
           for _ in range(2)]
    best, = CODECS.build(dict(type='ColormapCodec')).best_constants(ids)
    assert best == [max((0, 3, 7), key=lambda i: np.sum(np.stack(ids) == i))]

    normals = rng.normal((1, 0, 3), 1, (6, 8, 3))
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    best, = CODECS.build(dict(type='NormalCodec')).best_constants([normals])
    others = rng.normal(size=(500, 3))
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    cosines = np.einsum('hwk,nk->nhw', normals, [best, *others]).mean((1, 2))
    assert cosines.argmax() == 0

    depth = CODECS.build(dict(type='AffineDepthCodec'))
    assert len(depth.best_constants([normals[..., 0]])) == 1


def test_the_methods_must_be_there():
    with pytest.raises(TypeError, match='encode'):
        BaseDenseCodec()


@pytest.mark.parametrize('codec, ensembling, field', [
    (dict(type='AffineDepthCodec'), 'affine', 'depth'),
    (dict(type='AffineDepthCodec', space='disparity'), 'affine',
     'disparity'),
    (dict(type='NormalCodec'), 'direction', 'normal'),
    (dict(type='MatteCodec'), 'mean', 'alpha'),
    (dict(type='ColormapCodec'), None, 'sem_seg')])
def test_ensembles_of_a_quantity(codec, ensembling, field):
    codec = CODECS.build(codec)
    assert codec.ensembling == ensembling
    assert ensembling is None or ensembling in ENSEMBLES
    assert codec.uncertainty_field == f'pred_{field}_uncertainty_map'
