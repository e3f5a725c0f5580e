"""Continuing with the right data after a resume, without reading the old."""
from itertools import chain, islice, repeat

from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import BatchSampler

from genpercept_mm.registry import HOOKS
from genpercept_mm.utils.config_text import parse_config

from ..loops import StepBasedTrainLoop

KEY = 'data_seed'
VALIDATED = 'validated_step'
# Set in the meta of a checkpoint whose iterations became steps
CONVERTED = 'iterations_became_steps'


@HOOKS.register_module()
class ResumeDataHook(Hook):
    """Skip the batches of the iterations before a resume.

    mmengine loads all of them to reach the right position, which takes hours
    in a long training. Here the batch sampler skips them if it can
    (``skip(num_batches)``, see `MixtureSampler`), and so does mmengine's
    ``InfiniteSampler``; with other samplers, and with loops that count epochs,
    nothing changes. The seed of the batch
    sampler is saved in checkpoints and restored, so that a training without
    a fixed seed also continues its sequence.

    `StepBasedTrainLoop` continues exactly by itself; of a checkpoint that
    counts micro batches, as those of earlier versions do, it continues after
    the last whole step.

    The position is exact for the same data, ``batch_size`` and number of
    ranks. When mmengine builds the loop, workers read a few batches ahead
    (``num_workers * prefetch_factor``), which are thrown away. The random
    numbers of augmentations are not those of an uninterrupted training.
    """

    def __init__(self):
        self.seed = None
        self._given = False

    def before_run(self, runner):
        """Note whether the config fixes the seed, as mmengine puts that of a
        checkpoint in its place."""
        self._given = runner._randomness_cfg.get('seed') is not None

    def before_save_checkpoint(self, runner, checkpoint):
        """Save the seed of the data as ``data_seed``."""
        source = _seeded(runner.train_loop)
        if hasattr(source, 'seed'):
            checkpoint[KEY] = int(source.seed)
        if isinstance(runner.train_loop, StepBasedTrainLoop):
            checkpoint[VALIDATED] = runner.train_loop.validated

    def after_load_checkpoint(self, runner, checkpoint):
        """Remember the seed of the data, if the checkpoint contains it, and
        let a checkpoint that counts micro batches count steps.

        Raises:
            ValueError: If the checkpoint counts steps and the loop does not.
        """
        self.seed = checkpoint.get(KEY)
        if not runner._resume or 'iter' not in (checkpoint.get('meta') or {}):
            return
        meta = checkpoint['meta']
        counts_steps = 'step' in (meta.get('run') or {})
        if not isinstance(runner.train_loop, StepBasedTrainLoop):
            wrapper = runner.optim_wrapper
            if counts_steps and getattr(
                    wrapper, '_accumulative_counts', 1) > 1:
                raise ValueError(
                    'ResumeDataHook: the checkpoint counts optimizer steps, '
                    f'{meta["iter"]} of them, and this training micro '
                    "batches; resume with train_cfg.type='genpercept_mm."
                    "StepBasedTrainLoop'.")
            return
        # older checkpoints do not say
        runner.train_loop.validated = checkpoint.get(
            VALIDATED, meta['iter'])
        accumulated = 1 if counts_steps else _accumulated(meta)
        if accumulated > 1:
            steps = meta['iter'] // accumulated
            print_log(
                f'ResumeDataHook: the {meta["iter"]} iterations of the '
                'checkpoint are micro batches, of which a step has '
                f'{accumulated}; the training continues after step {steps}',
                logger='current')
            # ResumeConfigHook runs the schedules to this position
            meta.update(iter=steps, **{CONVERTED: True})

    def before_train(self, runner):
        """Replace the iterator of a resumed loop."""
        loop = runner.train_loop
        if isinstance(loop, StepBasedTrainLoop):
            if loop.iter and self.seed is not None and not self._given:
                loop.seed = self.seed
            return
        source = _seeded(loop)
        if source is None or loop.iter == 0:
            return
        if self.seed is not None and not self._given:
            source.seed = self.seed
        _skip(loop, source)
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


def _accumulated(meta):
    """Return how many micro batches a step of a checkpoint's training had."""
    run = meta.get('run') or {}
    if 'accumulated_batches' in run:
        return run['accumulated_batches'] or 1
    if not meta.get('cfg'):
        return 1
    cfg = parse_config(meta['cfg'])
    return (cfg.get('optim_wrapper') or {}).get('accumulative_counts') or 1


def _seeded(loop):
    """Return what has the seed of a loop's data and can skip batches, or None:
    the loop itself, its batch sampler, or mmengine's InfiniteSampler."""
    if isinstance(loop, StepBasedTrainLoop):
        return loop
    if not isinstance(loop, IterBasedTrainLoop):
        return None
    sampler = loop.dataloader.batch_sampler
    if hasattr(sampler, 'skip'):
        return sampler
    stock = getattr(sampler, 'sampler', None)
    whole = type(sampler) is BatchSampler and type(stock) is InfiniteSampler
    return stock if whole else None


def _skip(loop, source):
    """Let the loader begin with the loop's iteration."""
    if hasattr(source, 'skip'):
        source.skip(loop.iter)
        return
    # its indices are one generator, of which workers have taken some
    source.indices = islice(
        source._indices_of_rank(),
        loop.iter * loop.dataloader.batch_sampler.batch_size, None)
