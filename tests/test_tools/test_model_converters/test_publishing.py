import hashlib
import json
import os

import numpy as np
import pytest
import torch
from conftest import run_python
from mmengine.model import BaseModel
from mmengine.runner import Runner
from publishing import publish, strip_checkpoint
from torch.utils.data import DataLoader

from genpercept_mm.converters.conversion import find_config, read_checkpoint
from genpercept_mm.utils.trained_weights import (
    frozen_checksums,
    restore_frozen,
    strip_frozen,
)


class Descent(BaseModel):
    """One number; plain SGD with rate 1 takes 1 off at each step."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return dict(loss=self.weight.sum())


@pytest.fixture(scope='module')
def averaged(tmp_path_factory):
    """Checkpoint of four steps with mmengine's EMAHook."""
    folder = str(tmp_path_factory.mktemp('averaged'))
    dataset = [dict(inputs=torch.zeros(1))] * 4
    Runner(
        Descent(), folder, train_dataloader=DataLoader(dataset),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0)),
        param_scheduler=dict(type='ConstantLR', factor=1.0),
        train_cfg=dict(by_epoch=False, max_iters=4),
        custom_hooks=[dict(type='EMAHook', momentum=0.25)],
        default_hooks=dict(checkpoint=dict(
            type='CheckpointHook', by_epoch=False, interval=4)),
        default_scope='mmengine', experiment_name='averaged').train()
    return os.path.join(folder, 'iter_4.pth')


def toy():
    torch.manual_seed(0)
    return dict(
        state_dict=torch.nn.Linear(3, 2).state_dict(),
        meta=dict(iter=2, cfg='a = 1'))


def test_the_averaged_weights_are_published(averaged):
    checkpoint, dropped = strip_checkpoint(read_checkpoint(averaged))
    # the first update copies, the others mix
    average = -1.
    for weight in (-2, -3, -4):
        average = 0.75 * average + 0.25 * weight
    assert checkpoint['state_dict']['weight'].item() == pytest.approx(average)
    assert set(checkpoint) == {'state_dict', 'meta'}
    assert set(dropped) == {
        'optimizer', 'message_hub', 'param_schedulers', 'ema_state_dict',
        'meta.experiment_name', 'meta.time'}
    given = torch.load(averaged, weights_only=True)['meta']
    assert checkpoint['meta'] == {key: given[key] for key in (
        'epoch', 'iter', 'cfg', 'seed', 'mmengine_version')}
    assert given['iter'] == 4


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_a_file_is_named_by_its_content(averaged, tmp_path, suffix):
    checkpoint, _ = strip_checkpoint(read_checkpoint(averaged))
    path = publish(checkpoint, str(tmp_path / 'new' / 'model'), suffix)
    content = open(path, 'rb').read()
    digest = hashlib.sha256(content).hexdigest()
    assert path == str(tmp_path / f'new/model-{digest[:8]}.{suffix}')
    # twice, and as published: one file
    assert publish(checkpoint, str(tmp_path / 'new/model'), suffix) == path
    again, dropped = strip_checkpoint(read_checkpoint(path))
    assert dropped == []
    assert again['meta'] == checkpoint['meta']
    assert publish(again, str(tmp_path / 'new/model'), suffix) == path
    assert len(os.listdir(tmp_path / 'new')) == 1
    # for others to read, as any file
    (tmp_path / 'any').write_text('')
    assert os.stat(path).st_mode == os.stat(tmp_path / 'any').st_mode


@pytest.mark.nightly
def test_the_name_is_the_same_from_another_process_and_folder(
        averaged, tmp_path):
    checkpoint, _ = strip_checkpoint(read_checkpoint(averaged))
    done = run_python('-c', f'''
from publishing import *
from genpercept_mm.converters.conversion import read_checkpoint
checkpoint, _ = strip_checkpoint(read_checkpoint({averaged!r}))
for suffix in ('pth', 'safetensors'):
    publish(checkpoint, {str(tmp_path / "there/y")!r}, suffix)''',
                      python_path=['tools/model_converters'])
    assert done.stdout == ''
    names = {os.path.basename(publish(checkpoint, str(tmp_path / 'y'), suffix))
             for suffix in ('pth', 'safetensors')}
    assert len(names) == 2
    assert set(os.listdir(tmp_path / 'there')) == names


def test_data_sets_of_mmpose_load_without_this_package(tmp_path):
    """Their meta holds arrays."""
    from mmpose.datasets.datasets.utils import parse_pose_metainfo
    described = parse_pose_metainfo(
        dict(from_file='configs/_base_/datasets/coco.py'))
    assert any(isinstance(value, np.ndarray) for value in described.values())
    checkpoint = toy()
    checkpoint['meta'].update(
        dataset_meta=described, best=np.float32(0.5), hook_msgs={})
    torch.save(checkpoint, tmp_path / 'x.pth')
    stripped, dropped = strip_checkpoint(
        read_checkpoint(str(tmp_path / 'x.pth')))
    assert dropped == ['meta.best', 'meta.hook_msgs']
    for suffix in ('pth', 'safetensors'):
        path = publish(stripped, str(tmp_path / 'y'), suffix)
        loaded = torch.load(path, weights_only=True) if suffix == 'pth' else (
            read_checkpoint(path))
        loaded = loaded['meta']['dataset_meta']
        assert loaded['keypoint_id2name'] == described['keypoint_id2name']
        assert set(loaded) == set(described)
        for key in ('keypoint_colors', 'skeleton_links', 'flip_indices',
                    'sigmas'):
            assert np.array_equal(loaded[key], described[key]), key


def test_the_rest_of_a_views_memory_is_not_stored(tmp_path):
    checkpoint = toy()
    whole = torch.randn(1000, 100)
    checkpoint['state_dict'].update(row=whole[3], column=whole[:, 4])
    stripped, _ = strip_checkpoint(checkpoint)
    path = publish(stripped, str(tmp_path / 'x'))
    assert os.path.getsize(path) < 10_000
    state = torch.load(path, weights_only=True)['state_dict']
    assert torch.equal(state['row'], whole[3])
    assert torch.equal(state['column'], whole[:, 4])
    # versions of modules, by which hosts rename old keys
    assert state._metadata['']['version'] == 1


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_small_checkpoints_stay_loadable(tmp_path, suffix):
    torch.manual_seed(0)
    model = torch.nn.ModuleDict(dict(
        body=torch.nn.Linear(4, 4), head=torch.nn.Linear(4, 2)))
    model['body'].requires_grad_(False)
    model['body'].pretrained = 'elsewhere'
    checkpoint = dict(state_dict=model.state_dict(), meta=dict(iter=1))
    strip_frozen(checkpoint, frozen_checksums(model))
    stripped, dropped = strip_checkpoint(checkpoint)
    assert dropped == []
    loaded = read_checkpoint(publish(stripped, str(tmp_path / 'x'), suffix))
    assert set(loaded['state_dict']) == {'head.weight', 'head.bias'}
    assert restore_frozen(loaded, model)
    assert all(torch.equal(loaded['state_dict'][key], value)
               for key, value in model.state_dict().items())


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):

    def save(checkpoint, file):
        file.write(b'some of it')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(torch, 'save', save)
    with pytest.raises(OSError, match='No space left'):
        publish(toy(), str(tmp_path / 'x'))
    assert os.listdir(tmp_path) == []


def test_a_file_with_the_name_of_another_content_is_kept(tmp_path):
    path = publish(toy(), str(tmp_path / 'x'))
    with open(path, 'ab') as file:
        file.write(b'!')
    content = open(path, 'rb').read()
    with pytest.raises(FileExistsError, match='x-.*pth exists, and its '
                       'content does not match its name'):
        publish(toy(), str(tmp_path / 'x'))
    assert open(path, 'rb').read() == content
    assert len(os.listdir(tmp_path)) == 1


def test_wrong_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"suffix must be one of \['pth', "
                       r"'safetensors'\], got 'onnx'"):
        publish(toy(), str(tmp_path / 'x'), 'onnx')
    for prefix in (str(tmp_path / 'x.pth'), str(tmp_path) + os.sep):
        with pytest.raises(ValueError, match='must be a path without suffix'):
            publish(toy(), prefix)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('content', [
    dict(weight=torch.ones(1)), dict(state_dict={}), [torch.ones(1)],
    dict(state_dict=dict(a=1))])
def test_other_files_are_no_checkpoints(tmp_path, content):
    path = str(tmp_path / 'x.pth')
    torch.save(content, path)
    with pytest.raises(ValueError, match='x.pth has no state_dict of tensors'):
        read_checkpoint(path)


def test_a_config_in_a_file_is_text(tmp_path):
    """Never run: neither here nor by who loads the result."""
    checkpoint = toy()
    trace = tmp_path / 'ran'
    checkpoint['meta']['cfg'] = f'import os; os.mkdir({str(trace)!r})'
    torch.save(checkpoint, tmp_path / 'x.pth')
    stripped, _ = strip_checkpoint(read_checkpoint(str(tmp_path / 'x.pth')))
    path = publish(stripped, str(tmp_path / 'y'), 'safetensors')
    assert read_checkpoint(path)['meta'] == json.loads(
        json.dumps(checkpoint['meta']))
    assert not trace.exists()


def test_converted_weights_keep_their_config():
    meta = dict(config=dict(model=dict(type='X')), conversion=2, task='depth',
                other=1)
    kept, dropped = strip_checkpoint(dict(toy(), meta=meta))
    assert kept['meta'] == dict(
        config=dict(model=dict(type='X')), conversion=2, task='depth')
    assert dropped == ['meta.other']
    assert find_config(kept).model.type == 'X'
