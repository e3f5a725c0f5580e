import logging
import multiprocessing
import os

import pytest
import torch
from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import BatchSampler

from genpercept_mm.engine.hooks.resume_data_hook import ResumeDataHook
from genpercept_mm.registry import DATA_SAMPLERS

MIXTURE = dict(type='genpercept_mm.MixtureSampler', probabilities=[.5, .5])


class Recorder(BaseDataset):
    """Notes what is read, in whichever process."""

    def __init__(self, offset, size, log):
        self.offset, self.size, self.log = offset, size, log
        # serializing collects garbage each time
        super().__init__(serialize_data=False)

    def load_data_list(self):
        return [dict(index=self.offset + i) for i in range(self.size)]

    def __getitem__(self, index):
        with open(self.log, 'a') as file:
            file.write(f'{self.offset + index} ')
        return torch.tensor([float(self.offset + index)])


class Toy(BaseModel):

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)
        self.seen = []
        self.workers = []

    def forward(self, inputs, mode='tensor'):
        self.seen.append(inputs.flatten().int().tolist())
        self.workers.append({child.pid for child in
                             multiprocessing.active_children()})
        return dict(loss=self.linear(inputs / 100).mean())


def runner(folder, iters, name, hook=True, seed=3, workers=0,
           persistent=False, batch_sampler=MIXTURE, accumulated=1, **kwargs):
    log = str(folder / f'{name}.log')
    data = ConcatDataset([Recorder(0, 20, log), Recorder(100, 13, log)])
    kwargs.setdefault(
        'train_cfg', dict(type='IterBasedTrainLoop', max_iters=iters))
    by_epoch = kwargs['train_cfg'].get('by_epoch', False)
    return Runner(
        model=Toy(), work_dir=str(folder),
        train_dataloader=dict(
            dataset=data, batch_size=3, num_workers=workers,
            persistent_workers=persistent,
            sampler=dict(type='DefaultSampler' if by_epoch else
                         'InfiniteSampler'),
            batch_sampler=batch_sampler,
            collate_fn=lambda batch: dict(inputs=torch.stack(batch))),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1),
                           accumulative_counts=accumulated),
        default_hooks=dict(logger=None, checkpoint=dict(
            type='CheckpointHook', by_epoch=by_epoch, interval=1)),
        custom_hooks=[dict(type='genpercept_mm.ResumeDataHook')] * hook,
        randomness=dict(seed=seed), experiment_name=f'{folder.name}{name}',
        **kwargs)


def train(folder, iters, name, **kwargs):
    """Batches that the model saw, and all indices that were read."""
    run = runner(folder, iters, name, **kwargs)
    run.train()
    log = folder / f'{name}.log'
    read = log.read_text().split() if log.exists() else []
    return run.model.seen, [int(index) for index in read]


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    """Batches of eleven iterations in one go, without our hook."""
    seen, _ = train(tmp_path_factory.mktemp('unbroken'), 11, 'whole',
                    hook=False)
    assert len(seen) == 11 and len({index >= 100 for batch in seen
                                    for index in batch}) == 2
    return seen


def test_resumed_is_unbroken_and_reads_nothing_twice(tmp_path, unbroken):
    first, _ = train(tmp_path, 6, 'first')
    second, read = train(tmp_path, 11, 'second', resume=True)
    assert first + second == unbroken
    assert read == sum(unbroken[6:], [])


def test_stock_resume_reads_the_first_part_again(tmp_path, unbroken):
    """What the hook is for."""
    train(tmp_path, 6, 'first', hook=False)
    second, read = train(tmp_path, 11, 'second', hook=False, resume=True)
    assert second == unbroken[6:]
    assert read == sum(unbroken, [])


def test_twice_resumed(tmp_path, unbroken):
    seen = []
    for part, iters in enumerate((2, 7, 11)):
        seen += train(tmp_path, iters, f'part{part}', resume=part > 0)[0]
    assert seen == unbroken


def test_without_a_fixed_seed_the_sequence_goes_on_too(tmp_path):
    run = runner(tmp_path, 3, 'first', seed=None)
    run.train()
    seed = torch.load(tmp_path / 'iter_3.pth',
                      weights_only=False)['data_seed']
    assert seed == run.seed
    second, _ = train(tmp_path, 8, 'second', seed=None, resume=True)
    whole, _ = train(tmp_path / 'whole', 8, 'whole', seed=seed)
    assert run.model.seen + second == whole


@pytest.mark.parametrize('persistent', [False, True])
def test_workers_are_replaced_or_begin_anew(tmp_path, unbroken, persistent):
    train(tmp_path, 6, 'first')
    run = runner(tmp_path, 11, 'second', workers=1, persistent=persistent,
                 resume=True)
    run.train()
    assert run.model.seen == unbroken[6:]
    # one worker, not one for each iterator
    assert [len(pids) for pids in run.model.workers] == [1] * 5
    # it had read up to two batches ahead before the hook could act
    read = [int(index) for index in
            (tmp_path / 'second.log').read_text().split()]
    ahead, rest = sum(unbroken[:2], []), sum(unbroken[6:], [])
    assert any(read[:count] == ahead[:count]
               and read[count:count + len(rest)] == rest
               for count in range(len(ahead) + 1))
    # end the worker now rather than at a garbage collection
    run.train_loop.dataloader_iterator = None
    run.train_loop.dataloader._iterator = None
    assert not multiprocessing.active_children()


def test_load_from_begins_at_the_beginning(tmp_path, unbroken):
    train(tmp_path / 'first', 4, 'first', seed=4)
    seen, _ = train(tmp_path, 5, 'second', seed=3,
                    load_from=str(tmp_path / 'first' / 'iter_4.pth'))
    assert seen == unbroken[:5]


@pytest.mark.parametrize('workers, seed', [(0, 3), (1, 3), (0, None)])
def test_mmengines_infinite_sampler_skips_too(tmp_path, workers, seed):
    run = runner(tmp_path, 5, 'first', batch_sampler=None, seed=seed,
                 workers=workers)
    run.train()
    second, read = train(tmp_path, 16, 'second', batch_sampler=None,
                         seed=seed, workers=workers, resume=True)
    whole, _ = train(tmp_path / 'whole', 16, 'whole', batch_sampler=None,
                     hook=False, seed=run.train_dataloader.sampler.seed)
    assert run.model.seen + second == whole
    if not workers:
        assert read == sum(whole[5:], [])


def test_other_samplers_are_left_to_mmengine(tmp_path):
    class Other(BatchSampler):
        pass

    sampler = dict(type='genpercept_mm.Other', drop_last=True)
    DATA_SAMPLERS.register_module('Other', module=Other)
    try:
        train(tmp_path, 2, 'first', batch_sampler=sampler)
        assert 'data_seed' not in torch.load(
            tmp_path / 'iter_2.pth', weights_only=False)
        _, read = train(tmp_path, 5, 'second', batch_sampler=sampler,
                        resume=True)
        assert len(read) == 5 * 3
    finally:
        DATA_SAMPLERS._module_dict.pop('Other')


def test_a_checkpoint_of_micro_batches_counts_steps(tmp_path):
    """As earlier versions wrote them: 7 iterations, a step has 2."""
    run = runner(tmp_path, 7, 'old', batch_sampler=None, accumulated=2)
    run.train()
    saved = torch.load(tmp_path / 'iter_7.pth', weights_only=False)
    saved['meta']['run'] = dict(accumulated_batches=2)
    torch.save(saved, tmp_path / 'iter_7.pth')
    run = runner(tmp_path, 7, 'new', batch_sampler=None, resume=True,
                 train_cfg=dict(type='genpercept_mm.StepBasedTrainLoop',
                                max_iters=5, batch_size=6))
    run.train()
    # steps 4 and 5, of two micro batches each
    assert len(run.model.seen) == 2 * 2
    assert run.iter == 5


def test_loops_by_epochs_are_left_to_mmengine(tmp_path):
    loop = dict(by_epoch=True, max_epochs=1)
    train(tmp_path, None, 'first', batch_sampler=None, train_cfg=loop)
    seen, _ = train(tmp_path, None, 'second', batch_sampler=None,
                    train_cfg=dict(loop, max_epochs=2), resume=True)
    assert len(seen) == 11


def test_the_log_says_where_data_go_on(tmp_path, caplog):
    train(tmp_path, 2, 'first')
    run = runner(tmp_path, 3, 'second', resume=True)
    run.logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO):
        run.train()
    assert 'data continue with batch 2' in caplog.text
    assert os.path.exists(tmp_path / 'iter_3.pth')


def test_is_registered():
    from genpercept_mm.registry import HOOKS
    assert HOOKS.get('genpercept_mm.ResumeDataHook') is ResumeDataHook


def test_other_countings_are_told_by_the_config_or_refused(tmp_path):
    """A checkpoint of mmengine's own hook has no more than the config."""
    steps = dict(type='genpercept_mm.StepBasedTrainLoop', batch_size=6)
    run = runner(tmp_path, 8, 'old', batch_sampler=None, accumulated=2)
    run.train()
    saved = torch.load(tmp_path / 'iter_8.pth', weights_only=False)
    saved['meta'].pop('run', None)
    saved['meta']['cfg'] = 'optim_wrapper = dict(accumulative_counts=2)'
    torch.save(saved, tmp_path / 'iter_8.pth')
    run = runner(tmp_path, 8, 'new', batch_sampler=None, resume=True,
                 train_cfg=dict(steps, max_iters=5))
    run.train()
    assert len(run.model.seen) == 1 * 2
    # and the other way round
    saved['meta']['run'] = dict(step='6 images')
    saved['meta']['iter'] = 9
    torch.save(saved, tmp_path / 'iter_9.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_9.pth'))
    run = runner(tmp_path, 30, 'back', batch_sampler=None, resume=True,
                 accumulated=2)
    with pytest.raises(ValueError, match='counts optimizer steps, 9 of them'):
        run.train()


def test_a_seed_of_the_config_wins_in_mmengines_loop_too(tmp_path):
    train(tmp_path, 5, 'first', batch_sampler=None, seed=4)
    second, _ = train(tmp_path, 16, 'second', batch_sampler=None, seed=5,
                      resume=True)
    whole, _ = train(tmp_path / 'whole', 16, 'whole', batch_sampler=None,
                     hook=False, seed=5)
    assert second == whole[5:]
