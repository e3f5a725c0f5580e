"""Trainings of a linear layer by mmengine's Runner, in milliseconds."""
import os.path as osp

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from mmseg.structures import SegDataSample

COUNT = 12


class Toy(BaseModel):
    """Fit a linear layer to a constant.

    Args:
        spoil (Callable, optional): Takes the model, its loss and the number of
            the step, from 1, and gives another loss.
    """

    def __init__(self, spoil=None):
        super().__init__()
        self.linear = torch.nn.Linear(3, 1)
        self.spoil, self.steps = spoil, 0

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'predict':
            return data_samples
        self.steps += 1
        loss = fit(self.linear, inputs)
        if self.spoil is not None:
            loss = self.spoil(self, loss, self.steps)
        return {'decode.loss_mse': loss}


class Rates(Hook):
    """Note the learning rates of each iteration, one of each group."""

    priority = 'LOWEST'

    def __init__(self):
        self.rates = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.rates[runner.iter] = runner.optim_wrapper.get_lr()['lr']


class Scores:
    """A metric that gives one of the numbers after another."""

    dataset_meta, prefix = None, None

    def __init__(self, name, values):
        self.name, self.values = name, iter(values)

    def process(self, data_batch, data_samples):
        pass

    def evaluate(self, size):
        return {self.name: next(self.values)}


def fit(linear, inputs):
    """The loss of a `Toy`."""
    return (linear(inputs) - 1).square().mean()


def inputs():
    """Data that no two of which are alike, one row a sample."""
    return torch.randn(
        COUNT, 3, generator=torch.Generator().manual_seed(1))


def collate(batch):
    indices, rows = zip(*batch)
    return dict(
        inputs=torch.stack(rows),
        data_samples=[SegDataSample(metainfo=dict(img_path=f'{index}.png'))
                      for index in indices])


def plain_steps(linear, optimizer, steps):
    """Train a layer with torch alone on the batches of these iterations.

    Args:
        linear (torch.nn.Linear): The layer.
        optimizer (torch.optim.Optimizer): Optimizes its parameters.
        steps (Iterable[int]): Iterations, from 1, of a `runner` of two
            samples a batch.
    """
    data = inputs()
    for step in steps:
        first = (2 * step - 2) % COUNT
        optimizer.zero_grad()
        fit(linear, data[first:first + 2]).backward()
        optimizer.step()


def runner(work_dir, iters=4, model=None, hooks=(), checkpoint=None,
           scores=None, optimizer=None, loader=None, **kwargs):
    """Make a training that saves after each iteration.

    Args:
        work_dir (os.PathLike): Folder of the run.
        iters (int): Length of the training.
        model (Toy, optional): None makes one, the same for all runs.
        hooks (Sequence): ``custom_hooks``.
        checkpoint (dict, optional): Fields of `SafeCheckpointHook`.
        scores (Scores, optional): A metric, for a validation after each
            iteration.
        optimizer (dict, optional): Defaults to None, SGD.
        loader (dict, optional): Other fields of ``train_dataloader``.
        **kwargs: Other arguments of mmengine's ``Runner``.

    Returns:
        Runner: It logs nothing.
    """
    if model is None:
        torch.manual_seed(0)
        model = Toy()
    data = list(enumerate(inputs()))
    common = dict(dataset=data, batch_size=2, collate_fn=collate)
    if scores is not None:
        kwargs.update(
            val_dataloader=dict(common, sampler=dict(
                type='DefaultSampler', shuffle=False)),
            val_cfg=dict(), val_evaluator=[scores])
        kwargs.setdefault('train_cfg', dict(
            type='IterBasedTrainLoop', max_iters=iters, val_interval=1))
    kwargs.setdefault('train_cfg', dict(
        type='IterBasedTrainLoop', max_iters=iters))
    kwargs.setdefault('optim_wrapper', dict(
        optimizer=optimizer or dict(type='SGD', lr=0.1)))
    by_epoch = kwargs['train_cfg'].get('by_epoch', False)
    return Runner(
        model=model, work_dir=str(work_dir),
        train_dataloader={
            **common, 'sampler': dict(
                type='DefaultSampler' if by_epoch else 'InfiniteSampler',
                shuffle=False), **(loader or {})},
        default_hooks=dict(logger=None, checkpoint=dict(
            dict(type='genpercept_mm.SafeCheckpointHook', by_epoch=by_epoch,
                 interval=1), **checkpoint or {})),
        custom_hooks=list(hooks),
        # to make its figure takes half of the time
        visualizer=Visualizer.get_instance('toys'),
        experiment_name=f'{work_dir}{iters}'.replace(osp.sep, '_'),
        log_level='WARNING', **kwargs)


def state(path):
    """The weights in a checkpoint, and a copy of those of a model."""
    if isinstance(path, torch.nn.Module):
        return {key: value.clone() for key, value
                in path.state_dict().items()}
    return torch.load(path, weights_only=True)['state_dict']


def same(ours, theirs):
    """Compare weights bit by bit."""
    return ours.keys() == theirs.keys() and all(
        torch.equal(value, theirs[key]) for key, value in ours.items())
