"""Steps of a given size, however they are cut."""
import numpy as np
import pytest
import torch
import toys
from mmengine.hooks import Hook
from torch.utils.data import Dataset

from genpercept_mm.engine.loops.step_based_train_loop import mean_outputs
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


def make(work_dir, micro_batch, iters=5, **kwargs):
    torch.manual_seed(0)
    seen = Seen()
    runner = toys.runner(
        work_dir, model=Noisy(), hooks=[seen], randomness=dict(seed=4),
        loader=dict(
            batch_size=micro_batch, dataset=Rows(),
            sampler=dict(type='InfiniteSampler', shuffle=True)),
        train_cfg=dict(type='genpercept_mm.StepBasedTrainLoop',
                       max_iters=iters, batch_size=STEP), **kwargs)
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
