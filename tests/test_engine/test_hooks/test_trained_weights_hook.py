import os
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel, BaseModule
from mmengine.runner import Runner

from genpercept_mm.registry import MODELS


@MODELS.register_module(name='TrainedWeightsToyPart', force=True)
class Part(BaseModule):
    """A large fixed layer from "pretrained", and a small trained one."""

    def __init__(self, pretrained=None):
        super().__init__()
        self.pretrained = pretrained
        self.fixed = torch.nn.Linear(100, 100).requires_grad_(False)
        self.norm = torch.nn.BatchNorm1d(100)
        self.trained = torch.nn.Linear(100, 1)

    def init_weights(self):
        if self.pretrained is not None:
            generator = torch.Generator().manual_seed(int(self.pretrained))
            for value in self.fixed.parameters():
                value.data.normal_(generator=generator)


class Toy(BaseModel):

    def __init__(self, pretrained):
        super().__init__()
        self.part = Part(pretrained)

    def forward(self, inputs, mode='tensor'):
        part = self.part
        output = part.trained(part.norm(part.fixed(inputs)))
        if mode == 'predict':
            return [output.sum()]
        return dict(loss=(output - 1).square().mean())


class Output:
    """A metric: the sum of all outputs."""

    dataset_meta = None

    def process(self, data_batch, data_samples):
        self.value = float(sum(data_samples))

    def evaluate(self, size):
        return dict(output=self.value)


def collate(batch):
    return dict(inputs=torch.stack(batch))


def runner(work_dir, iters=4, pretrained='1', train=True, **kwargs):
    generator = torch.Generator().manual_seed(0)
    data = [torch.randn(100, generator=generator) for _ in range(8)]
    loader = dict(dataset=data, batch_size=8, collate_fn=collate,
                  sampler=dict(type='DefaultSampler', shuffle=False))
    if train:
        kwargs.update(
            train_dataloader=dict(
                loader, sampler=dict(type='InfiniteSampler', shuffle=False)),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=iters),
            optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.01)))
    hooks = kwargs.pop('custom_hooks', [])
    torch.manual_seed(int(train))
    return Runner(
        model=Toy(pretrained), work_dir=str(work_dir),
        test_dataloader=loader, test_cfg=dict(), test_evaluator=[Output()],
        default_hooks=dict(
            logger=None,
            checkpoint=dict(
                type='genpercept_mm.SafeCheckpointHook', by_epoch=False,
                interval=2)),
        custom_hooks=[dict(type='genpercept_mm.TrainedWeightsHook'), *hooks],
        experiment_name=f'{work_dir}{iters}{train}', **kwargs)


def evaluate(work_dir, checkpoint, **kwargs):
    run = runner(work_dir, train=False, load_from=str(checkpoint), **kwargs)
    return run.test()['output']


def test_files_hold_what_was_trained(tmp_path):
    run = runner(tmp_path)
    run.train()
    path = tmp_path / 'iter_4.pth'
    checkpoint = torch.load(path, weights_only=True)
    assert set(checkpoint['state_dict']) == {
        'part.trained.weight', 'part.trained.bias', 'part.norm.weight',
        'part.norm.bias', 'part.norm.running_mean', 'part.norm.running_var',
        'part.norm.num_batches_tracked'}
    assert set(checkpoint['meta']['left_out']) == {
        'part.fixed.weight', 'part.fixed.bias'}
    # four trained parameters have moments
    assert len(checkpoint['optimizer']['state']) == 4
    # 40,400 bytes of the fixed layer alone
    assert os.path.getsize(path) < 30_000


def test_a_test_reads_the_rest(tmp_path):
    run = runner(tmp_path)
    run.train()
    trained = run.test()['output']
    strict = [dict(type='genpercept_mm.StrictLoadHook')]
    path = tmp_path / 'iter_4.pth'
    assert evaluate(tmp_path, path, custom_hooks=strict) == trained
    for pretrained, reason in ((None, 'part has no pretrained weights'),
                               ('2', "part has others, pretrained='2'")):
        with pytest.raises(RuntimeError, match=reason):
            evaluate(tmp_path, path, pretrained=pretrained)


def test_a_resumed_training_goes_on_as_if_unbroken(tmp_path):
    whole = runner(tmp_path / 'whole', iters=4)
    whole.train()
    runner(tmp_path / 'broken', iters=2).train()
    resumed = runner(tmp_path / 'broken', iters=4, resume=True)
    resumed.train()
    assert resumed.iter == 4
    for key, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[key], value), key
    with pytest.raises(RuntimeError, match="pretrained='2'"):
        runner(tmp_path / 'broken', iters=6, resume=True,
               pretrained='2').train()


@pytest.mark.nightly
def test_random_fixed_weights_stay_in_the_file(tmp_path):
    run = runner(tmp_path, pretrained=None)
    run.train()
    path = tmp_path / 'iter_4.pth'
    assert 'part.fixed.weight' in torch.load(path)['state_dict']
    trained = run.test()['output']
    assert evaluate(tmp_path, path, pretrained=None) == trained


@pytest.mark.nightly
def test_weights_that_load_from_replaced_stay_in_the_file(tmp_path):
    other = Toy(None).state_dict()
    torch.save(dict(state_dict=other), tmp_path / 'other.pth')
    run = runner(tmp_path, load_from=str(tmp_path / 'other.pth'))
    run.train()
    trained = run.test()['output']
    path = tmp_path / 'iter_4.pth'
    state = torch.load(path)['state_dict']
    assert torch.equal(state['part.fixed.weight'], other['part.fixed.weight'])
    assert evaluate(tmp_path, path) == trained


def in_place(value):
    with torch.no_grad():
        value.add_(1)


def one_value(value):
    with torch.no_grad():
        value.view(-1)[7] += 1


def by_data(value):
    """As peft merges LoRA; torch does not count it as a change."""
    value.data += 1


def other_memory(value):
    value.data = value.data + 1


def by_a_checkpoint(value):
    module = torch.nn.Module()
    module.weight = value
    module.load_state_dict(dict(weight=torch.full_like(value, 3)))


@pytest.mark.parametrize('change', [
    in_place, one_value, by_data, other_memory, by_a_checkpoint])
def test_weights_that_changed_during_training_are_in_the_file(
        tmp_path, change):
    """Their checksums are not calculated again and again, so the change must
    be noticed."""

    class Change(Hook):

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 2:
                change(runner.model.part.fixed.weight)

    run = runner(tmp_path, custom_hooks=[Change()])
    run.train()
    before, after = (torch.load(tmp_path / f'iter_{step}.pth')['state_dict']
                     for step in (2, 4))
    assert 'part.fixed.weight' not in before
    assert torch.equal(after['part.fixed.weight'],
                       run.model.part.fixed.weight)
    assert 'part.fixed.bias' not in after


def test_unchanged_weights_are_read_once(tmp_path, monkeypatch):
    """Two checkpoints and a test."""
    from genpercept_mm.utils import trained_weights
    sizes, stock = [], trained_weights.zlib.crc32
    monkeypatch.setattr(
        trained_weights, 'zlib', SimpleNamespace(
            crc32=lambda array: sizes.append(array.size) or stock(array)))
    runner(tmp_path).train()
    assert sorted(sizes) == [100, 10_000]


def test_averaged_weights_are_refused_before_training(tmp_path):
    with pytest.raises(ValueError, match='EMAHook stores whole models'):
        runner(tmp_path, custom_hooks=[dict(type='EMAHook')]).train()
