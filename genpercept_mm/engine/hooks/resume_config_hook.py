"""Resuming a training with the config that is given now."""
import copy
import logging
import math
import warnings
from collections import defaultdict

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper, OptimWrapperDict
from prettytable import PrettyTable

from genpercept_mm.datasets.seeded_dataset import SeededDataset
from genpercept_mm.registry import HOOKS
from genpercept_mm.utils.plain import to_plain

from .resume_data_hook import CONVERTED
from ..loops import StepBasedTrainLoop

# What changes in a scheduler while it runs
_MOVING = ('last_step', '_global_step', '_last_value', 'verbose',
           'base_values')
# The same of one that follows a score
_SCORED = ('best', 'num_bad_epochs', 'cooldown_counter')
# What schedulers set in a group of parameters
_SCHEDULED = ('lr', 'momentum', 'betas')


@HOOKS.register_module()
class ResumeConfigHook(Hook):
    """Let the config win over the state of a resumed training.

    mmengine takes rates and schedules, their ends included, from the
    checkpoint, whatever the config says, and fails with a KeyError if the
    optimizer is another one. Here the checkpoint gives the position and the
    state of the optimizer. Schedules that the config changes are run from the
    beginning to that position, without training, and other fields of the
    optimizer are those of the config. The state of another optimizer, or of
    other parameters, is left out. One table lists every difference (rate,
    schedule, optimizer, batch, data, seed).

    Schedulers that follow a score, such as ReduceOnPlateau, keep what they
    know of it; where another schedule or the rate changes, the rate is that of
    the config, without their reductions.
    """

    priority = 'LOWEST'

    def before_save_checkpoint(self, runner, checkpoint):
        """Record what a resumed training is compared with, in ``meta``."""
        checkpoint['meta']['run'] = dict(
            describe(runner), optimizers={
                name: type(wrapper.optimizer).__name__
                for name, wrapper in _wrappers(runner).items()})

    def after_load_checkpoint(self, runner, checkpoint):
        """Adapt a checkpoint that is resumed to the config."""
        if not runner._resume or not _wrappers(runner):
            return
        meta, rows = checkpoint.get('meta') or {}, []
        before, now = dict(meta.get('run') or {}), describe(runner)
        if 'step' in now and 'step' not in before:
            parts = [before.get(key) for key in (
                'batch_size', 'processes', 'accumulated_batches')]
            if all(parts):
                before['step'] = f'{math.prod(parts)} images'
        for key, value in now.items():
            if key in before and before[key] != value:
                rows.append((key.replace('_', ' '), before[key], value,
                             'config'))
        seed = runner._randomness_cfg.get('seed')
        if seed is not None and meta.get('seed') not in (None, seed):
            rows.append(('seed', meta['seed'], seed, 'config'))
            meta['seed'] = seed
        if 'optimizer' in checkpoint:
            rows += self._adapt_optimizers(runner, checkpoint)
        if not rows:
            return
        table = PrettyTable(['', 'checkpoint', 'config', 'used'])
        table.add_rows([[*map(_short, row)] for row in rows])
        print_log(f'This training differs from that of the checkpoint:\n'
                  f'{table.get_string()}', logger='current',
                  level=logging.WARNING)

    def _adapt_optimizers(self, runner, checkpoint):
        several = isinstance(runner.optim_wrapper, OptimWrapperDict)
        rows, saved, fitting = [], checkpoint['optimizer'], True
        kinds = (checkpoint['meta'].get('run') or {}).get('optimizers', {})
        optimizers = {name: wrapper.optimizer for name, wrapper
                      in _wrappers(runner).items()}
        states = {name: saved.get(name, {}) if several else saved
                  for name in optimizers}
        for name, optimizer in optimizers.items():
            before, now = kinds.get(name), type(optimizer).__name__
            problem = _misfit(states[name], optimizer, before)
            if problem:
                fitting = False
                rows.append(('optimizer', *problem, 'config, without state'))
            elif before not in (None, now):
                rows.append(('optimizer', before, now, 'config'))
        changes, scored, kept = _schedule_changes(runner, checkpoint)
        rows += [(*change, 'config') for change in changes + scored]
        if changes or not fitting or checkpoint['meta'].pop(CONVERTED, False):
            _replay(runner, checkpoint['meta'])
            checkpoint['param_schedulers'] = _states(runner, kept)
        if not fitting:
            del checkpoint['optimizer']
            return rows
        for name, optimizer in optimizers.items():
            rows += _take_fields(states[name]['param_groups'],
                                 optimizer.param_groups, bool(changes))
        return rows


def _wrappers(runner):
    """Give the wrappers of torch's optimizers by name, a single one as ''."""
    wrapper = runner.optim_wrapper
    if isinstance(wrapper, OptimWrapperDict):
        return dict(wrapper.items())
    return {'': wrapper} if isinstance(wrapper, OptimWrapper) else {}


def describe(runner):
    """Return what a training depends on beside model and optimizer."""
    loader, loop = runner.train_dataloader, runner.train_loop
    dataset = loader.dataset
    if isinstance(dataset, SeededDataset):
        dataset = dataset.dataset
    batch_size = getattr(loader, 'batch_size', None) or getattr(
        loader.batch_sampler, 'batch_size', None)
    wrapper = runner.optim_wrapper
    single = wrapper if isinstance(wrapper, OptimWrapper) else None
    split = dict(
        batch_size=batch_size, processes=get_world_size(),
        accumulated_batches=getattr(single, '_accumulative_counts', None))
    if isinstance(loop, StepBasedTrainLoop):
        # neither devices nor micro batches change anything
        split = dict(step=f'{loop.batch_size} images')
        if hasattr(loop.sampler.sampler, 'groups'):
            # but not those that a MixtureSampler draws from one data set
            split['images of one data set'] = loop.sampler.sampler.batch_size
    return to_plain(dict(
        **split,
        optimizer_wrapper=type(wrapper).__name__,
        iterations=runner.max_iters,
        data=f'{type(dataset).__name__} of {len(dataset)} samples'))


def _misfit(state, optimizer, before):
    """Say why an optimizer cannot take a state of one whose class is named
    ``before``, or None if that is unknown; None if it can."""
    groups = state.get('param_groups', [])
    kind = type(optimizer).__name__

    def fields(group):
        return {key for key in group
                if key not in ('params', 'param_names')
                and not key.startswith('initial_')}

    sizes = [len(group['params']) for group in groups]
    own = [len(group['params']) for group in optimizer.param_groups]
    if sizes != own:
        return (f'{len(sizes)} groups of {sum(sizes)} parameters',
                f'{kind}, {len(own)} groups of {sum(own)} parameters')
    for there, here, needed in zip(
            groups, optimizer.param_groups, _needed_state(optimizer)):
        given = state['state'].get(next(iter(there['params']), None))
        # a newer torch adds fields
        if fields(here) - fields(there) and fields(there) - fields(here):
            return before or 'another kind of optimizer', kind
        lacking = ', '.join(sorted(needed - set(given))) if given else ''
        if lacking:
            return before or f'a state without {lacking}', (
                f'{kind} with {lacking}' if before == kind else kind)
    return None


def _needed_state(optimizer):
    """List, for each group, the names in the state of its first parameter:
    those that a step of a copy makes, with parameters of one value."""
    probe = copy.copy(optimizer)
    probe.state, probe.param_groups = defaultdict(dict), []
    for group in optimizer.param_groups:
        values = [torch.zeros((1, ) * value.dim(), requires_grad=True)
                  for value in group['params'][:1]]
        for value in values:
            value.grad = torch.zeros_like(value)
        probe.param_groups.append(dict(group, params=values))
    try:
        probe.step()
    except Exception:  # an optimizer that cannot, such as LBFGS
        probe.state.clear()
    return [{key for value in group['params'] for key in probe.state[value]}
            for group in probe.param_groups]


def _all_schedulers(runner):
    schedulers = runner.param_schedulers or []
    if isinstance(schedulers, dict):
        return [part for parts in schedulers.values() for part in parts]
    return schedulers


def _states(runner, kept):
    """Collect the states of all schedulers, or what is kept of them by id."""

    def states(parts):
        return [kept.get(id(part)) or part.state_dict() for part in parts]

    schedulers = runner.param_schedulers or []
    if isinstance(schedulers, dict):
        return {name: states(parts) for name, parts in schedulers.items()}
    return states(schedulers)


def _schedule_changes(runner, checkpoint):
    """Compare the schedulers of a checkpoint with those of the config.

    Returns (name, before, now) of what the config changes, the same of
    schedulers that follow a score, and the states of these by id. In the
    checkpoint, these get the changes at once.
    """
    saved = checkpoint.get('param_schedulers') or []
    if isinstance(saved, dict):
        saved = [part for parts in saved.values() for part in parts]
    own = _all_schedulers(runner)
    if len(saved) != len(own):
        return [('schedulers', len(saved), len(own))], [], {}
    changes, scored, kept = [], [], {}
    for before, scheduler in zip(saved, own):
        now, name = scheduler.state_dict(), type(scheduler).__name__
        if not set(now) <= set(before):
            changes.append((f'scheduler {name}', 'another kind', name))
            continue
        follows = getattr(scheduler, 'need_val_args', False)
        moving = (*_MOVING, *_SCORED) if follows else _MOVING
        different = [key for key, value in now.items() if key not in moving
                     and to_plain(before[key]) != to_plain(value)]
        (scored if follows else changes).extend(
            (f'{name}.{key}', before[key], now[key]) for key in different)
        if follows:
            if {'monitor', 'rule'}.intersection(different):
                different += _SCORED
            before.update({key: now[key] for key in different})
            kept[id(scheduler)] = before
        elif to_plain(before['base_values']) != to_plain(now['base_values']):
            changes.append((f'initial {scheduler.param_name}',
                            _span(before['base_values']),
                            _span(now['base_values'])))
    return changes, scored, kept


def _span(values):
    low, high = min(values), max(values)
    return f'{low:g}' if low == high else f'{low:g} to {high:g}'


def _replay(runner, meta):
    """Step the schedulers of the config to the position of a checkpoint."""
    schedulers = [part for part in _all_schedulers(runner)
                  if not getattr(part, 'need_val_args', False)]
    epochs = meta['epoch'] if any(part.by_epoch for part in schedulers) else 0
    with warnings.catch_warnings():
        # there are no steps of the optimizer between these
        warnings.simplefilter('ignore')
        done = 0
        for epoch in range(1, epochs + 2):
            until = meta['iter'] if epoch > epochs else (
                meta['iter'] * epoch // epochs)
            for _ in range(until - done):
                for part in schedulers:
                    if not part.by_epoch:
                        part.step()
            done = until
            if epoch <= epochs:
                for part in schedulers:
                    if part.by_epoch:
                        part.step()


def _take_fields(saved, own, scheduled):
    """Put the config's fields into the saved groups; list the changes."""
    rows = {}
    for there, here in zip(saved, own):
        for key, value in here.items():
            if key in ('params', 'param_names'):
                continue
            base = key.removeprefix('initial_')
            moving = base in _SCHEDULED and f'initial_{base}' in here
            if to_plain(there.get(key)) == to_plain(value):
                continue
            if moving and not scheduled:
                continue  # the position on an unchanged schedule
            if not moving and key in there:
                rows.setdefault(key, (key, there[key], value, 'config'))
            there[key] = value
    return list(rows.values())


def _short(value):
    text = str(value)
    return text if len(text) <= 48 else text[:45] + '...'
