"""Continuing with the right data after a resume, without reading the old."""
from itertools import chain, repeat

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import IterBasedTrainLoop

from genpercept_mm.registry import HOOKS

KEY = 'data_seed'


@HOOKS.register_module()
class ResumeDataHook(Hook):
    """Skip the batches of the iterations before a resume.

    mmengine loads all of them to reach the right position, which takes hours
    in a long training. Here the batch sampler skips them if it can
    (``skip(num_batches)``, see `MixtureSampler`); with other samplers, and
    with loops that count epochs, nothing changes. The seed of the batch
    sampler is saved in checkpoints and restored, so that a training without
    a fixed seed also continues its sequence.

    The position is exact for the same data, ``batch_size`` and number of
    ranks. When mmengine builds the loop, workers read a few batches ahead
    (``num_workers * prefetch_factor``), which are thrown away. The random
    numbers of augmentations are not those of an uninterrupted training.
    """

    def __init__(self):
        self.seed = None

    def before_save_checkpoint(self, runner, checkpoint):
        """Save the seed of the data as ``data_seed``."""
        sampler = _skipping_sampler(runner.train_loop)
        if hasattr(sampler, 'seed'):
            checkpoint[KEY] = int(sampler.seed)

    def after_load_checkpoint(self, runner, checkpoint):
        """Remember the seed of the data, if the checkpoint contains it."""
        self.seed = checkpoint.get(KEY)

    def before_train(self, runner):
        """Replace the iterator of a resumed loop."""
        loop = runner.train_loop
        sampler = _skipping_sampler(loop)
        if sampler is None or loop.iter == 0:
            return
        if self.seed is not None:
            sampler.seed = self.seed
        sampler.skip(loop.iter)
        infinite = type(loop.dataloader_iterator)
        # the last reference, so torch stops the workers before others start;
        # persistent ones belong to the loader, which restarts them
        loop.dataloader_iterator = None
        # the loop first asks for as many batches as there were iterations
        loop.dataloader_iterator = chain(
            repeat(None, loop.iter), infinite(loop.dataloader))
        print_log(
            f'ResumeDataHook: data continue with batch {loop.iter}; earlier '
            'ones are not loaded', logger='current')


def _skipping_sampler(loop):
    """Return the batch sampler of an iteration-based loop, or None if it
    has no ``skip``."""
    if not isinstance(loop, IterBasedTrainLoop):
        return None
    sampler = loop.dataloader.batch_sampler
    return sampler if hasattr(sampler, 'skip') else None
