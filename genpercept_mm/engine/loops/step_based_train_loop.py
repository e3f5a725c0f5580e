"""Training whose iterations are optimizer steps."""
import itertools
import logging
from math import gcd

import torch
from mmengine.dist import (
    all_gather_object,
    all_reduce,
    get_comm_device,
    get_dist_info,
)
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner import IterBasedTrainLoop
from mmengine.runner.base_loop import BaseLoop
from mmengine.runner.utils import calc_dynamic_intervals
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import BatchSampler, DataLoader

from genpercept_mm.datasets.samplers import StepBatchSampler
from genpercept_mm.datasets.seeded_dataset import SeededDataset
from genpercept_mm.models.losses import DenseLoss
from genpercept_mm.models.utils.step_dropout import use_step_dropout
from genpercept_mm.registry import LOOPS
from genpercept_mm.utils.step_draws import step_draws

# Of a loader, which are kept
OPTIONS = ('num_workers', 'collate_fn', 'pin_memory', 'timeout',
           'worker_init_fn', 'generator', 'pin_memory_device', 'in_order')
WORKER_OPTIONS = ('prefetch_factor', 'persistent_workers',
                  'multiprocessing_context')


@LOOPS.register_module()
class StepBasedTrainLoop(IterBasedTrainLoop):
    """Count optimizer steps of a given number of images, on any machine.

    An iteration of the runner, and so of its hooks, schedules, logs and
    checkpoints, is a step of ``batch_size`` images. They are shared by the
    ranks and cut into micro batches of the loader's ``batch_size``, whose
    gradients are accumulated and exchanged once; where the loader's number
    does not divide the share of a rank, or the groups of a `MixtureSampler`,
    the next smaller one that does is taken. Hooks see the images of all micro
    batches of their rank, and the mean losses of all ranks.

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
        seed (int): Determines the order of images and all random draws.
        validated (int): Step after which the last validation has begun. One
            that is due and did not run before a checkpoint was resumed comes
            first.

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
        if self._max_iters != max_iters:
            raise ValueError('StepBasedTrainLoop: max_iters must be an '
                             f'integer, got {max_iters}.')
        # what mmengine's loop has; while this one runs, micro batches
        self.dataloader_iterator = None
        self._epoch = self._iter = 0
        self.val_begin, self.val_interval = val_begin, val_interval
        self.validated = 0
        self.stop_training = False
        # losses that are averaged over ranks, known at the first step
        self._loss_names = None
        self.dynamic_milestones, self.dynamic_intervals = (
            calc_dynamic_intervals(val_interval, dynamic_intervals))
        # a FlexibleRunner has the latter
        auto_scale_lr = getattr(runner, 'auto_scale_lr', getattr(
            runner, '_auto_scale_lr', None)) or {}
        if batch_size is None:
            batch_size = auto_scale_lr.get('base_batch_size')
        if auto_scale_lr.get('enable'):
            print_log(
                'StepBasedTrainLoop: a step has the same number of images on '
                'any machine, so auto_scale_lr does not change the rate.',
                logger='current', level=logging.WARNING)
            auto_scale_lr['enable'] = False
        dataset = self.dataloader.dataset
        runner.visualizer.dataset_meta = getattr(dataset, 'metainfo', None)
        self.dataloader = self._by_steps(
            self.dataloader, batch_size, micro_batch)

    def _by_steps(self, loader, batch_size, micro_batch):
        """Return a loader of the same data whose sampler follows steps."""
        rank, world_size = get_dist_info()
        # MixtureSampler is a batch sampler itself
        mixed = hasattr(loader.batch_sampler, 'groups')
        stock = type(loader.batch_sampler) is BatchSampler
        sampler = loader.sampler if stock else loader.batch_sampler
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
        names = OPTIONS + (WORKER_OPTIONS if loader.num_workers else ())
        options = {name: getattr(loader, name) for name in names
                   if hasattr(loader, name)}
        # so that copies to a GPU do not wait
        options['pin_memory'] |= torch.cuda.is_available()
        return DataLoader(SeededDataset(loader.dataset),
                          batch_sampler=self.sampler, **options)

    @property
    def seed(self):
        """int: Seed of the order of images and of all draws."""
        return self.sampler.seed

    @seed.setter
    def seed(self, seed):
        self.sampler.seed = seed

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
        use_step_dropout(runner.model)
        runner.model.train()
        self._report()
        # not by initialize_count_status, which warns of batch norm as well
        wrapper._accumulative_counts = self.accumulation
        wrapper._inner_count = self._iter * self.accumulation
        wrapper._max_counts = self._max_iters * self.accumulation
        wrapper._remainder_counts = 0
        # a step that was interrupted left some
        wrapper.zero_grad()
        try:
            return self._run()
        finally:
            wrapper._accumulative_counts = 1
            self.dataloader_iterator = None

    def _run(self):
        runner = self.runner
        runner.call_hook('before_train')
        runner.call_hook('before_train_epoch')
        self._decide_current_val_interval()
        if self._iter and self.validated < self._iter and self._is_due():
            print_log(
                'StepBasedTrainLoop: the checkpoint is older than the '
                f'validation after step {self._iter}, which comes first.',
                logger='current')
            self._validate()
        self.sampler.start = self._iter
        self.dataloader_iterator = iter(self.dataloader)
        while self._iter < self._max_iters and not self.stop_training:
            runner.model.train()
            self.run_iter(list(itertools.islice(
                self.dataloader_iterator, self.accumulation)))
            self._decide_current_val_interval()
            if self._is_due():
                self._validate()
        runner.call_hook('after_train_epoch')
        runner.call_hook('after_train')
        return runner.model

    def _is_due(self):
        """Tell whether a validation follows the last step."""
        return (self.runner.val_loop is not None
                and self._iter >= self.val_begin
                and (self._iter % self.val_interval == 0
                     or self._iter == self._max_iters))

    def _validate(self):
        # first, for the checkpoint of a new best score
        self.validated = self._iter
        self.runner.val_loop.run()

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
        runner.call_hook(
            'after_train_iter', batch_idx=self._iter, data_batch=images,
            outputs=self._of_all_ranks(mean_outputs(outputs)))
        self._iter += 1

    def _of_all_ranks(self, outputs):
        """Average losses over ranks; one that is not finite stays with its
        rank, so that the images that caused it are found."""
        if self.sampler.world_size == 1:
            return outputs
        local = {key: value.detach().double() for key, value in
                 outputs.items() if torch.is_tensor(value)
                 and value.numel() == 1}
        if self._loss_names is None:
            self._loss_names = sorted(set().union(
                *all_gather_object(sorted(local))))
        device = get_comm_device()
        zero = torch.zeros((), dtype=torch.float64, device=device)
        packed = torch.stack([
            local[key].to(device).reshape(()) if key in local else zero
            for key in self._loss_names] + [
                zero + (key in local) for key in self._loss_names])
        all_reduce(packed)
        sums, counts = packed.chunk(2)
        shared = dict(outputs)
        for key, mean in zip(self._loss_names, sums / counts.clamp(min=1)):
            if key in local:
                value, mean = outputs[key], mean.to(outputs[key])
                shared[key] = torch.where(
                    value.isfinite() & mean.isfinite(), mean, value)
        return shared

    def _report(self):
        world_size = self.sampler.world_size
        print_log(
            f'A step has {self.batch_size} images: {self.accumulation} micro '
            f'batch(es) of {self.micro_batch} on {world_size} device(s).',
            logger='current')
        if self._iter:
            print_log(f'Data continue after step {self._iter}; earlier ones '
                      'are not loaded.', logger='current')
        if self.accumulation * world_size == 1:
            return
        pixels = sorted({type(module).__name__ for module
                         in self.runner.model.modules()
                         if isinstance(module, DenseLoss)
                         and module.reduction == 'pixel'})
        if pixels:
            print_log(
                f'{", ".join(pixels)} average over the valid pixels of '
                f'{self.micro_batch} images at a time, as the official code '
                "does; with reduction='image', the result does not depend on "
                'the number of devices and micro batches.', logger='current')
        weighted = sorted({
            type(module).__name__ for module in self.runner.model.modules()
            if getattr(module, 'avg_non_ignore', False)
            or getattr(module, 'class_weight', None) is not None})
        if weighted:
            print_log(
                f'{", ".join(weighted)} averages over the labelled or weighted'
                f' pixels of {self.micro_batch} images at a time, so the '
                'result depends on the number of devices and micro batches.',
                logger='current')
        norms = [module for module in self.runner.model.modules()
                 if isinstance(module, _BatchNorm) and module.training]
        if not norms:
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
    """Return micro batches as one: lists are joined, tensors too where their
    sizes agree, and dicts by their entries; what cannot be joined is a list
    of its parts."""
    first = batches[0]
    if len(batches) == 1:
        return first
    if all(isinstance(batch, dict) and batch.keys() == first.keys()
           for batch in batches):
        return {key: merge_batches([batch[key] for batch in batches])
                for key in first}
    if all(isinstance(batch, list) for batch in batches):
        return list(itertools.chain.from_iterable(batches))
    if all(torch.is_tensor(batch) and batch.ndim
           and batch.shape[1:] == first.shape[1:] for batch in batches):
        return torch.cat(batches)
    return batches


def mean_outputs(outputs):
    """Average the losses of micro batches, dicts by name; a loss that some of
    them lack is averaged over the others."""
    if len(outputs) == 1:
        return outputs[0]
    parts = {}
    for output in outputs:
        for key, value in output.items():
            parts.setdefault(key, []).append(value)
    return {key: torch.stack([value.detach() for value in values]).mean(0)
            if all(map(torch.is_tensor, values)) else values[0]
            for key, values in parts.items()}


def _largest_divisor(number, most):
    return next(size for size in range(min(most, number), 0, -1)
                if number % size == 0)
