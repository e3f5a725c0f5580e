import errno
import os

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.fileio import LocalBackend
from mmengine.model import BaseModel
from mmengine.runner import Runner

from genpercept_mm.engine.hooks.safe_checkpoint_hook import (
    AtomicLocalBackend,
    SafeCheckpointHook,
)
from genpercept_mm.registry import CODECS


class Toy(BaseModel):

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)

    def forward(self, inputs, mode='tensor'):
        return dict(loss=self.linear(inputs).mean())


def runner(work_dir, iters=4, **kwargs):
    return Runner(
        model=Toy(), work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=[torch.ones(1)] * 8, batch_size=1,
            sampler=dict(type='InfiniteSampler'),
            collate_fn=lambda batch: dict(inputs=torch.stack(batch))),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=iters),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(
            logger=None,
            checkpoint=dict(
                type='genpercept_mm.SafeCheckpointHook', by_epoch=False,
                interval=1, max_keep_ckpts=1)),
        experiment_name=f'toy{os.path.basename(work_dir)}{iters}', **kwargs)


def checkpoints(folder):
    return sorted(name for name in os.listdir(folder)
                  if name.endswith(('.pth', '.part')))


def test_keeps_the_number_that_was_asked_for(tmp_path):
    runner(tmp_path).train()
    assert checkpoints(tmp_path) == ['iter_4.pth']
    assert torch.load(tmp_path / 'iter_4.pth', weights_only=True)


def test_meta_says_what_is_predicted(tmp_path):
    plain, dense = runner(tmp_path / 'a', 1), runner(tmp_path / 'b', 1)
    cfg = ConfigDict(type='AffineDepthCodec', space='disparity',
                     quantiles=(.1, .9))
    dense.model.codec = CODECS.build(cfg)
    dense.model.backbone = torch.nn.Identity()
    dense.model.backbone.arch = ConfigDict(unet=dict(layers=(1, 2)))
    for each in (plain, dense):
        each.train()
    fields = {'quantity', 'codec', 'arch'}
    meta = torch.load(tmp_path / 'a/iter_1.pth', weights_only=True)['meta']
    assert not fields & set(meta)
    meta = torch.load(tmp_path / 'b/iter_1.pth', weights_only=True)['meta']
    assert meta['quantity'] == 'disparity'
    assert meta['codec'] == dict(cfg, quantiles=[.1, .9])
    assert meta['arch'] == dict(unet=dict(layers=[1, 2]))


@pytest.mark.parametrize('failing', ['write', 'replace'])
def test_full_disk_leaves_the_old_checkpoint_and_no_torn_file(
        tmp_path, monkeypatch, failing):
    runner(tmp_path, iters=2).train()
    before = (tmp_path / 'iter_2.pth').read_bytes()

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, 'No space left on device')

    target = 'fsync' if failing == 'write' else 'replace'
    monkeypatch.setattr(os, target, full)
    with pytest.raises(OSError, match=r'cannot write .*iter_3.pth .*No space '
                       r'left.* intact.*--resume') as error:
        runner(tmp_path, iters=4, resume=True).train()
    assert error.value.errno == errno.ENOSPC
    assert checkpoints(tmp_path) == ['iter_2.pth']
    assert (tmp_path / 'iter_2.pth').read_bytes() == before
    monkeypatch.undo()
    resumed = runner(tmp_path, iters=5, resume=True)
    resumed.train()
    assert resumed.iter == 5
    assert checkpoints(tmp_path) == ['iter_5.pth']


@pytest.mark.parametrize('iters', [3, 4])
def test_a_constant_file_name_keeps_its_file(tmp_path, iters):
    run = runner(tmp_path, iters=iters)
    run._hooks[[type(h).__name__ for h in run._hooks].index(
        'SafeCheckpointHook')].filename_tmpl = 'latest.pth'
    run.train()
    assert checkpoints(tmp_path) == ['latest.pth']
    assert torch.load(tmp_path / 'latest.pth', weights_only=True)['meta'][
        'iter'] == iters


def test_unknown_arguments_are_refused_at_once():
    with pytest.raises(TypeError, match=r"unexpected argument\(s\) "
                       r"\['max_keep_ckpt'\]"):
        SafeCheckpointHook(max_keep_ckpt=2)
    SafeCheckpointHook(interval=2, max_keep_ckpts=2)


def test_file_mode_is_that_of_the_stock_backend(tmp_path):
    AtomicLocalBackend().put(b'x', str(tmp_path / 'ours'))
    LocalBackend().put(b'x', str(tmp_path / 'stock'))
    assert (tmp_path / 'ours').stat().st_mode == (
        tmp_path / 'stock').stat().st_mode
