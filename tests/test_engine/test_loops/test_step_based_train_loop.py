"""Steps of a given size, however they are cut."""
import logging

import numpy as np
import pytest
import torch
import toys
from mmengine.hooks import Hook
from torch.utils.data import Dataset

from genpercept_mm.engine.hooks import ResumeDataHook
from genpercept_mm.engine.loops.step_based_train_loop import (
    mean_outputs,
    merge_batches,
)
from genpercept_mm.models.losses import MaskedMSELoss
from genpercept_mm.utils.step_draws import image_generators

STEP = 6


class Rows(Dataset):
    """The rows of `toys.inputs`, with an augmentation; notes what is read."""

    def __init__(self):
        self.data, self.read = toys.inputs(), []

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        self.read.append(index)
        return index, self.data[index] + np.random.normal(0, .1, 3).astype(
            np.float32)


class Noisy(toys.Toy):
    """Adds noise that belongs to the images."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            inputs = inputs + torch.stack([
                torch.randn(3, generator=generator)
                for generator in image_generators(len(inputs))])
        return super().forward(inputs, data_samples, mode)


class Seen(Hook):
    """Note the images, the loss and the iteration of each call."""

    def __init__(self):
        self.images, self.losses = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        assert batch_idx == runner.iter == len(self.images)
        batches = data_batch if isinstance(data_batch, list) else [data_batch]
        self.images.append([
            sample.img_path for batch in batches
            for sample in batch['data_samples']])

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        self.losses.append(float(outputs['loss']))


def make(work_dir, micro_batch, iters=5, more=(), val_interval=1000,
         **kwargs):
    torch.manual_seed(0)
    seen = Seen()
    kwargs.setdefault('randomness', dict(seed=4))
    runner = toys.runner(
        work_dir, model=Noisy(), hooks=[seen, *more],
        loader=dict(
            batch_size=micro_batch, dataset=Rows(),
            sampler=dict(type='InfiniteSampler', shuffle=True)),
        train_cfg=dict(type='genpercept_mm.StepBasedTrainLoop',
                       max_iters=iters, batch_size=STEP,
                       val_interval=val_interval), **kwargs)
    return runner, seen


def train(*args, **kwargs):
    runner, seen = make(*args, **kwargs)
    runner.train()
    return runner, seen


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A training whose steps are not cut."""
    return train(tmp_path_factory.mktemp('whole'), STEP)


@pytest.mark.parametrize('micro_batch', [1, 2, 3, 4])
def test_micro_batches_do_not_matter(whole, tmp_path, micro_batch):
    """4 does not divide 6: the next smaller number that does is 3."""
    runner, seen = train(tmp_path, micro_batch)
    assert runner.train_loop.accumulation == {1: 6, 2: 3, 3: 2, 4: 2}[
        micro_batch]
    assert seen.images == whole[1].images
    torch.testing.assert_close(
        torch.tensor(seen.losses), torch.tensor(whole[1].losses))
    torch.testing.assert_close(
        runner.model.state_dict(), whole[0].model.state_dict())
    # saved after each step, not after each micro batch
    assert len(list(tmp_path.glob('iter_*.pth'))) == 5


def test_a_step_is_one_of_plain_torch(tmp_path):
    """On the images that the hooks saw, without noise."""

    class Plain(Rows):

        def __getitem__(self, index):
            return index, self.data[index]

    torch.manual_seed(0)
    seen, model = Seen(), toys.Toy()
    linear = torch.nn.Linear(3, 1)
    linear.load_state_dict(model.linear.state_dict())
    toys.runner(
        tmp_path, model=model, hooks=[seen],
        loader=dict(batch_size=2, dataset=Plain()), train_cfg=dict(
            type='genpercept_mm.StepBasedTrainLoop', max_iters=4,
            batch_size=4)).train()
    optimizer, data = torch.optim.SGD(linear.parameters(), .1), toys.inputs()
    for names in seen.images:
        rows = data[[int(name.removesuffix('.png')) for name in names]]
        optimizer.zero_grad()
        toys.fit(linear, rows).backward()
        optimizer.step()
    torch.testing.assert_close(
        model.linear.state_dict(), linear.state_dict())


def test_a_resumed_training_is_the_unbroken_one(whole, tmp_path):
    train(tmp_path, 2, iters=3)
    runner, seen = make(tmp_path, 2, resume=True)
    seen.images = [None] * 3
    runner.train()
    assert seen.images[3:] == whole[1].images[3:]
    torch.testing.assert_close(
        runner.model.state_dict(), whole[0].model.state_dict())
    # nothing of what lies before was read
    first = [int(name.removesuffix('.png')) for name in seen.images[3]]
    read = runner.train_loop.dataloader.dataset.read
    assert read[:STEP] == first and len(read) == 2 * STEP


def test_another_seed_is_another_training(whole, tmp_path):
    runner, seen = make(tmp_path, STEP)
    runner.train_loop  # noqa: B018 - builds it
    assert runner.train_loop.seed == 4
    runner.train_loop.seed = 5
    runner.train()
    assert seen.images != whole[1].images


def test_what_does_not_fit_is_refused(tmp_path):
    runner, _ = make(tmp_path, 2, optim_wrapper=dict(
        optimizer=dict(type='SGD', lr=.1), accumulative_counts=2))
    with pytest.raises(ValueError, match='remove accumulative_counts=2'):
        runner.train()


def test_outputs_are_means_of_micro_batches():
    outputs = [dict(loss=torch.tensor(1.), count=3),
               dict(loss=torch.tensor(4.), count=3)]
    assert mean_outputs(outputs) == dict(loss=torch.tensor(2.5), count=3)


def test_losses_that_a_micro_batch_lacks_are_no_error():
    outputs = [dict(loss=torch.tensor(1.)),
               dict(loss=torch.tensor(3.), extra=torch.tensor(5.))]
    assert mean_outputs(outputs) == dict(loss=torch.tensor(2.),
                                         extra=torch.tensor(5.))


def test_hooks_see_one_batch_however_it_was_cut():
    rows = torch.arange(12.).view(6, 2)
    whole = dict(inputs=rows, more=dict(names=list('abcdef')))
    parts = [dict(inputs=rows[first:first + 2],
                  more=dict(names=list('abcdef')[first:first + 2]))
             for first in (0, 2, 4)]
    merged = merge_batches(parts)
    assert torch.equal(merged['inputs'], whole['inputs'])
    assert merged['more'] == whole['more']
    sizes = [dict(inputs=torch.zeros(1, 2)), dict(inputs=torch.zeros(1, 3))]
    assert len(merge_batches(sizes)['inputs']) == 2


def test_a_training_can_go_on_after_its_end(whole, tmp_path):
    runner, _ = train(tmp_path, 2, iters=3)
    runner.train_loop._max_iters = 5
    runner.train_loop.run()
    torch.testing.assert_close(
        runner.model.state_dict(), whole[0].model.state_dict())


def test_without_a_fixed_seed_a_resumed_training_goes_on_too(tmp_path):
    hooks = dict(randomness=dict(seed=None), more=[ResumeDataHook()])
    unbroken, _ = train(tmp_path / 'whole', 2, **hooks)
    seed = unbroken.train_loop.seed
    train(tmp_path / 'cut', 3, iters=3, randomness=dict(seed=seed),
          more=[ResumeDataHook()])
    cut, seen = make(tmp_path / 'cut', 3, resume=True, **hooks)
    seen.images = [None] * 3
    cut.train_loop  # noqa: B018 - builds it
    assert cut.train_loop.seed != seed
    cut.train()
    assert cut.train_loop.seed == seed
    torch.testing.assert_close(
        cut.model.state_dict(), unbroken.model.state_dict())


def test_what_depends_on_the_division_is_told_in_one_line_each(tmp_path,
                                                               caplog):
    runner, _ = make(tmp_path, 2)
    runner.model.norm = torch.nn.BatchNorm1d(3)
    runner.model.frozen = torch.nn.BatchNorm1d(3)
    train_mode = runner.model.train

    def train_partly(mode=True):
        train_mode(mode)
        runner.model.frozen.eval()
        return runner.model

    runner.model.train = train_partly
    runner.model.loss = MaskedMSELoss()
    runner.logger.setLevel(logging.INFO)
    runner.logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO):
        runner.train()
    lines = [line for line in caplog.messages if 'micro batches' in line]
    assert 'A step has 6 images: 3 micro batch(es) of 2 on 1' in caplog.text
    assert sum('batch norms' in line for line in lines) == 1
    assert '1 batch norms see 2 images' in caplog.text
    assert 'MaskedMSELoss average over the valid pixels of 2' in caplog.text
    assert 'Gradient accumulative' not in caplog.text


@pytest.mark.parametrize('killed_in', [4, 6])
def test_a_validation_that_was_missed_comes_first(tmp_path, killed_in):
    """The checkpoint of a step is older than the validation that follows it;
    a run killed in between would never have its score."""
    scores = {2: .5, 4: .9, 6: .95}

    class Killed(Hook):

        def before_val_epoch(self, runner):
            if runner.iter == killed_in:
                raise KeyboardInterrupt

    class Scores(toys.Scores):

        def evaluate(self, size):
            return {self.name: scores[run.iter]}

    def build(*hooks, start=0, **kwargs):
        run, seen = make(
            tmp_path, STEP, 6, [ResumeDataHook(), *hooks],
            val_interval=2, scores=Scores('x', ()), checkpoint=dict(
                save_best='x', rule='greater', by_epoch=False, interval=1),
            resume=start > 0, **kwargs)
        seen.images = [None] * start
        return run

    run = build(Killed())
    with pytest.raises(KeyboardInterrupt):
        run.train()
    run = build(start=killed_in)
    run.train()
    assert run.message_hub.get_info('best_score') == .95
    assert (tmp_path / 'best_x_iter_6.pth').is_file()
    if killed_in == 4:
        # what was validated, as the checkpoint says, is not validated again
        Scores.evaluate = None
        build(start=6).train()


def test_drop_path_belongs_to_images(tmp_path):
    """mmcv's stochastic depth, as in Swin."""
    from mmcv.cnn.bricks import DropPath

    class Deep(Noisy):

        def __init__(self):
            super().__init__()
            self.drop, self.kept = DropPath(.5), []

        def forward(self, inputs, data_samples=None, mode='tensor'):
            self.kept += (self.drop(torch.ones(len(inputs), 4, 2)) > 0).any(
                2).any(1).tolist()
            return super().forward(inputs, data_samples, mode)

    kept = []
    for micro_batch in (6, 3, 2, 1):
        run, _ = make(tmp_path / str(micro_batch), micro_batch)
        run.model = Deep()
        run.train()
        kept.append(run.model.kept)
    assert kept[0] == kept[1] == kept[2] == kept[3]
    assert 0 < sum(kept[0]) < len(kept[0]) == 30
