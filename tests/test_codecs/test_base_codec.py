"""A task is a codec: README's example, in one file, trains and evaluates."""
import os.path as osp

import cv2
import numpy as np
import pytest
from conftest import ROOT

from genpercept_mm.codecs import BaseDenseCodec


def toy_task():
    """The Python block of README's section on new tasks."""
    with open(osp.join(ROOT, 'README.md')) as file:
        text = file.read()
    section = text[text.index('## Add a task'):]
    return section.split('```python\n')[1].split('```')[0]


def test_the_toy_task_of_the_readme_trains_and_is_evaluated(
        tmp_path, run_python):
    """Under 60 lines, no edit elsewhere, through tools/train.py."""
    task = toy_task()
    assert len(task.strip().split('\n')) < 60
    for kind in ('images', 'labels'):
        (tmp_path / 'data' / kind).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(4):
        image = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f'data/images/{index}.png'), image)
        cv2.imwrite(str(tmp_path / f'data/labels/{index}.png'),
                    image.max(2) - image.min(2))
    config = tmp_path / 'toy.py'
    config.write_text(
        task.replace('configs/', f'{ROOT}/configs/').replace(
            'data/toy', str(tmp_path / 'data')))
    done = run_python(
        'tools/train.py', str(config), '--work-dir', str(tmp_path / 'work'),
        '--cfg-options', 'train_cfg.max_iters=2', 'train_cfg.val_interval=2',
        'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'val_dataloader.persistent_workers=False',
        'train_dataloader.batch_size=2', 'default_hooks.logger.interval=1')
    text = done.stdout + done.stderr
    assert 'decode.loss_mse' in text
    assert 'mad:' in text
    assert list((tmp_path / 'work').rglob('*.png'))


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


def test_the_methods_must_be_there():
    with pytest.raises(TypeError, match='encode'):
        BaseDenseCodec()
