"""Training whose iterations are optimizer steps."""
import itertools
import logging
from math import gcd

import torch
from mmengine.dist import get_dist_info
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner import IterBasedTrainLoop
from mmengine.runner.base_loop import BaseLoop
from mmengine.runner.utils import calc_dynamic_intervals
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from genpercept_mm.datasets.samplers import StepBatchSampler
from genpercept_mm.datasets.seeded_dataset import SeededDataset
from genpercept_mm.models.utils.step_dropout import use_step_dropout
from genpercept_mm.registry import LOOPS
from genpercept_mm.utils.step_draws import step_draws


@LOOPS.register_module()
class StepBasedTrainLoop(IterBasedTrainLoop):
    """Count optimizer steps of a given number of images, on any machine.

    An iteration of the runner, and so of its hooks, schedules, logs and
    checkpoints, is a step of ``batch_size`` images. They are shared by the
    ranks and cut into micro batches of the loader's ``batch_size``, whose
    gradients are accumulated and exchanged once; where the loader's number
    does not divide the share of a rank, or the groups of a `MixtureSampler`,
    the next smaller one that does is taken. Hooks see the images and the mean
    losses of all micro batches of their rank.

    Which images are in a step, their augmentations, and what the model draws
    for them depend on the seed, the step and the place of the image in it, see
    `StepBatchSampler` and `step_draws`. A resumed training continues them
    without loading what lies before.

    Args:
        runner (Runner): Its optimizer wrapper must not accumulate.
        dataloader (dict | DataLoader): With an ``InfiniteSampler``,
            ``DefaultSampler`` or ``MixtureSampler``.
        max_iters (int): Number of steps.
        batch_size (int, optional): Images in a step, on all ranks together.
            None takes ``auto_scale_lr.base_batch_size`` of the config, to
            which its rate belongs; without one, a micro batch of each rank.
        val_begin (int): First step that is followed by a validation.
            Defaults to 1.
        val_interval (int): Steps between validations. Defaults to 1000.
        dynamic_intervals (list[tuple[int, int]], optional): See
            ``IterBasedTrainLoop``.

    Attributes:
        accumulation (int): Micro batches of a rank in a step.
        micro_batch (int): Images in a micro batch.
        seed (int): Of the order of images and of all draws.

    Raises:
        TypeError: If the order of the sampler is unknown, or there are several
            optimizers.
        ValueError: If the step cannot be divided.
    """

    def __init__(self, runner, dataloader, max_iters, batch_size=None,
                 val_begin=1, val_interval=1000, dynamic_intervals=None):
        # not that of IterBasedTrainLoop, which starts workers at once, before
        # a resumed step is known
        micro_batch = (dataloader.get('batch_size')
                       if isinstance(dataloader, dict) else None)
        BaseLoop.__init__(self, runner, dataloader)
        self._max_iters, self._max_epochs = int(max_iters), 1
        self._epoch = self._iter = 0
        self.val_begin, self.val_interval = val_begin, val_interval
        self.stop_training = False
        self.dynamic_milestones, self.dynamic_intervals = (
            calc_dynamic_intervals(val_interval, dynamic_intervals))
        auto_scale_lr = runner.auto_scale_lr or {}
        if batch_size is None:
            batch_size = auto_scale_lr.get('base_batch_size')
        if auto_scale_lr.get('enable'):
            print_log(
                'StepBasedTrainLoop: a step has the same number of images on '
                'any machine, so auto_scale_lr does not change the rate.',
                logger='current', level=logging.WARNING)
            runner.auto_scale_lr = None
        dataset = self.dataloader.dataset
        runner.visualizer.dataset_meta = getattr(dataset, 'metainfo', None)
        self.dataloader = self._by_steps(
            self.dataloader, batch_size, micro_batch)

    def _by_steps(self, loader, batch_size, micro_batch):
        """Return a loader of the same data whose sampler follows steps."""
        rank, world_size = get_dist_info()
        # MixtureSampler is a batch sampler itself
        mixed = hasattr(loader.batch_sampler, 'groups')
        sampler = loader.batch_sampler if mixed else loader.sampler
        micro_batch = micro_batch or loader.batch_sampler.batch_size
        if batch_size is None:
            batch_size = micro_batch * world_size
        if batch_size % world_size:
            raise ValueError(
                f'StepBasedTrainLoop: a step of batch_size={batch_size} images'
                f' cannot be shared by {world_size} devices; use a number of '
                'devices that divides it.')
        share = batch_size // world_size
        micro_batch = _largest_divisor(
            gcd(share, sampler.batch_size) if mixed else share, micro_batch)
        self.batch_size, self.micro_batch = batch_size, micro_batch
        self.sampler = StepBatchSampler(
            sampler, batch_size, micro_batch, rank, world_size)
        self.accumulation = self.sampler.accumulation
        workers = dict(
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
        ) if loader.num_workers else {}
        return DataLoader(
            SeededDataset(loader.dataset), batch_sampler=self.sampler,
            num_workers=loader.num_workers, collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory, timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn, **workers)

    @property
    def seed(self):
        """int: Seed of the order of images and of all draws."""
        return self.sampler.seed

    @seed.setter
    def seed(self, seed):
        self.sampler.order.seed = self.sampler.seed = seed

    def run(self):
        """Train from the current step on."""
        runner, wrapper = self.runner, self.runner.optim_wrapper
        if not isinstance(wrapper, OptimWrapper):
            raise TypeError('StepBasedTrainLoop: there must be one optimizer, '
                            f'got a {type(wrapper).__name__}.')
        if wrapper._accumulative_counts != 1:
            raise ValueError(
                'StepBasedTrainLoop: accumulation follows from batch_size; '
                'remove accumulative_counts='
                f'{wrapper._accumulative_counts} from optim_wrapper.')
        wrapper._accumulative_counts = self.accumulation
        wrapper.initialize_count_status(
            runner.model, self._iter * self.accumulation,
            self._max_iters * self.accumulation)
        use_step_dropout(runner.model)
        self._report()
        runner.call_hook('before_train')
        runner.call_hook('before_train_epoch')
        self.sampler.start = self._iter
        batches = iter(self.dataloader)
        while self._iter < self._max_iters and not self.stop_training:
            runner.model.train()
            self.run_iter(list(itertools.islice(batches, self.accumulation)))
            self._decide_current_val_interval()
            if (runner.val_loop is not None and self._iter >= self.val_begin
                    and (self._iter % self.val_interval == 0
                         or self._iter == self._max_iters)):
                runner.val_loop.run()
        runner.call_hook('after_train_epoch')
        runner.call_hook('after_train')
        return runner.model

    def run_iter(self, data_batch):
        """Make one step; ``data_batch`` is the list of its micro batches."""
        runner, images = self.runner, merge_batches(data_batch)
        runner.call_hook('before_train_iter', batch_idx=self._iter,
                         data_batch=images)
        outputs = []
        for turn, batch in enumerate(data_batch):
            with step_draws(self.seed, self._iter, self.sampler.places(turn)):
                outputs.append(runner.model.train_step(
                    batch, optim_wrapper=runner.optim_wrapper))
        runner.call_hook('after_train_iter', batch_idx=self._iter,
                         data_batch=images, outputs=mean_outputs(outputs))
        self._iter += 1

    def _report(self):
        world_size = self.sampler.world_size
        print_log(
            f'A step has {self.batch_size} images: {self.accumulation} micro '
            f'batch(es) of {self.micro_batch} on {world_size} device(s).',
            logger='current')
        norms = [module for module in self.runner.model.modules()
                 if isinstance(module, _BatchNorm) and module.training]
        if not norms or self.accumulation * world_size == 1:
            return
        synced = all(isinstance(norm, torch.nn.SyncBatchNorm)
                     for norm in norms)
        ways = [*(['a larger train_dataloader.batch_size']
                  if self.accumulation > 1 else []),
                *(["sync_bn='torch'"] if world_size > 1 and not synced
                  else []), 'group norm']
        if self.accumulation > 1 or not synced:
            print_log(
                f'{len(norms)} batch norms see {self.micro_batch} images at a '
                'time, so the result depends on the number of devices and '
                f'micro batches; it does not with {" and ".join(ways[:-1])}, '
                f'or with {ways[-1]}.', logger='current',
                level=logging.WARNING)


def merge_batches(batches):
    """Return micro batches as one, if their collation makes lists; else the
    list of them."""
    if len(batches) == 1:
        return batches[0]
    if all(isinstance(batch, dict) and all(
            isinstance(value, list) for value in batch.values())
            for batch in batches):
        return {key: [item for batch in batches for item in batch[key]]
                for key in batches[0]}
    return batches


def mean_outputs(outputs):
    """Average the losses of micro batches, dicts by name."""
    if len(outputs) == 1:
        return outputs[0]
    return {key: torch.stack([output[key].detach() for output in outputs]
                             ).mean(0) if torch.is_tensor(value) else value
            for key, value in outputs[0].items()}


def _largest_divisor(number, most):
    return next(size for size in range(min(most, number), 0, -1)
                if number % size == 0)
