"""Stopping where numbers are no longer finite."""
import logging

import torch
from mmengine.dist import (
    all_gather_object,
    all_reduce,
    get_comm_device,
    get_world_size,
)
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapperDict
from mmengine.structures import BaseDataElement

from genpercept_mm.registry import HOOKS
from genpercept_mm.utils.finite import (
    is_finite,
    not_finite,
    wrong_weights,
)


@HOOKS.register_module()
class FiniteGuardHook(Hook):
    """Keep NaN and infinity out of weights, checkpoints and scores.

    - An update whose gradients are not finite is skipped, so the weights stay
      as they were. A log line names the iteration, the parts of the loss and
      the images. After ``patience`` such iterations in a row, the training
      stops with an error.
    - In float16, where the loss scaler skips updates itself, the training
      stops after ``fp16_patience`` skipped updates in a row: the scale has
      fallen to nothing by then, and nothing is learnt.
    - A checkpoint with weights that are not finite is not loaded, and
      predictions that are not finite are not evaluated.

    Args:
        patience (int): Number of iterations. Defaults to 5.
        fp16_patience (int): Number of updates; the scaler starts at 65536 and
            needs about 16 of them to reach 1. Defaults to 25.

    Raises:
        ValueError: If a number is not positive.
    """

    priority = 'VERY_HIGH'

    def __init__(self, patience=5, fp16_patience=25):
        for name, value in (('patience', patience),
                            ('fp16_patience', fp16_patience)):
            if value < 1:
                raise ValueError(f'FiniteGuardHook: {name} must be at least 1,'
                                 f' got {value}.')
        self.patience, self.fp16_patience = patience, fp16_patience
        self.streak = self.fp16_streak = self.updates = 0
        self._skipped = self._updated = False
        self._scales = {}

    def before_train(self, runner):
        """Watch the updates of all optimizers."""
        for wrapper in _wrappers(runner):
            wrapper.optimizer.register_step_pre_hook(self._before_step)
            scaler = _scaler(wrapper)
            if scaler is not None:
                self._scales[id(wrapper)] = scaler.get_scale()

    def _before_step(self, optimizer, args, kwargs):
        """Take the gradients away if one of them is not finite."""
        overflow = getattr(optimizer, 'found_inf', None)
        if overflow is not None:
            # a fused optimizer skips overflows itself, where the scaler
            # tells it; its gradients are still scaled
            if not overflow:
                self.updates += 1
                self._updated = True
            return
        parameters = [
            parameter for group in optimizer.param_groups
            for parameter in group['params'] if parameter.grad is not None]
        if _all_finite([parameter.grad for parameter in parameters]):
            self.updates += 1
            self._updated = True
            return
        self._skipped = True
        for parameter in parameters:
            parameter.grad = None

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        """Count iterations that failed.

        Raises:
            RuntimeError: If there were too many in a row.
        """
        self._count_fp16(runner)
        wrong = sorted(
            name for name, value in (outputs or {}).items()
            if 'loss' in name and isinstance(value, torch.Tensor)
            and not is_finite(value))
        skipped, updated = self._skipped, self._updated
        self._skipped = self._updated = False
        if not _anywhere(wrong or skipped):
            # between updates, gradients that are not finite may have added up
            if updated:
                self.streak = 0
            return
        self.streak += 1
        wrong, images = _culprits(wrong, _images(data_batch))
        what = (f'{", ".join(wrong)} is not finite' if wrong else
                'gradients are not finite')
        if self.streak == 1:
            print_log(
                f'Iteration {runner.iter + 1}: {what}'
                f'{"; this update is skipped" * skipped}. Images: {images}.',
                logger='current',
                level=logging.WARNING)
        if self.streak >= self.patience:
            raise RuntimeError(
                f'FiniteGuardHook: at iteration {runner.iter + 1}, {what}, '
                f'{self.streak} times in a row now. The weights are those '
                f'before, and the checkpoints in {runner.work_dir} are intact.'
                f' The last images are {images}. Check them and their labels, '
                'lower the learning rate, or train in float32 or bfloat16; '
                'then continue with --resume.')

    def _count_fp16(self, runner):
        for wrapper in _wrappers(runner):
            scaler = _scaler(wrapper)
            if scaler is None:
                continue
            scale, before = scaler.get_scale(), self._scales[id(wrapper)]
            self._scales[id(wrapper)] = scale
            if scale < before:
                self.fp16_streak += 1
            elif wrapper.should_update():
                self.fp16_streak = 0
            if self.fp16_streak >= self.fp16_patience:
                raise RuntimeError(
                    f'FiniteGuardHook: at iteration {runner.iter + 1}, the '
                    f'last {self.fp16_streak} updates in float16 have all '
                    f'overflowed, down to a loss scale of {scale:g}; nothing '
                    'was learnt in them. Train in bfloat16 (optim_wrapper.'
                    "dtype='bfloat16') or float32, or lower the learning "
                    'rate.')

    def after_train(self, runner):
        """Warn if no update has changed the weights."""
        if not self.updates:
            print_log(
                'FiniteGuardHook: no update of this training was finite; '
                'nothing was learnt. Train in bfloat16 or float32.',
                logger='current', level=logging.WARNING)

    def after_load_checkpoint(self, runner, checkpoint):
        """Look at the weights of a checkpoint.

        Raises:
            RuntimeError: If a weight is not finite.
        """
        wrong = wrong_weights(
            checkpoint.get('state_dict', checkpoint), runner.model)
        if wrong:
            raise RuntimeError(
                f'{len(wrong)} weights of the checkpoint are not finite, such '
                f'as {wrong[0]}; its training had failed. Use an older '
                'checkpoint.')

    def after_val_iter(self, runner, batch_idx, data_batch=None,
                       outputs=None):
        """Look at predictions before they are evaluated.

        Raises:
            ValueError: If a prediction is not finite.
        """
        for sample in outputs or ():
            for name in _wrong_predictions(sample):
                raise ValueError(
                    f'FiniteGuardHook: {name} of {sample.get("img_path")} is '
                    'not finite; check the weights, or test in float32.')

    after_test_iter = after_val_iter


def last_step_failed(runner):
    """Tell whether the last iteration of a training was not finite."""
    return any(hook.streak > 0 for hook in runner.hooks
               if isinstance(hook, FiniteGuardHook))


def _wrappers(runner):
    wrapper = runner.optim_wrapper
    return ([part for _, part in wrapper.items()]
            if isinstance(wrapper, OptimWrapperDict) else [wrapper])


def _scaler(wrapper):
    scaler = getattr(wrapper, 'loss_scaler', None)
    return scaler if scaler is not None and scaler.is_enabled() else None


def _all_finite(gradients):
    gradients = [gradient.coalesce().values() if gradient.is_sparse
                 else gradient for gradient in gradients]
    if not gradients:
        return True
    norms = torch._foreach_norm(gradients, float('inf'))
    return bool(torch.stack([norm.float().to(norms[0].device)
                             for norm in norms]).isfinite().all())


def _anywhere(failed):
    """Tell whether something failed on any rank."""
    if get_world_size() == 1:
        return bool(failed)
    flag = torch.tensor(float(bool(failed)), device=get_comm_device())
    all_reduce(flag, 'max')
    return bool(flag)


def _culprits(wrong, images):
    """Collect the names of wrong losses from all ranks, and the images of
    those ranks, or of all where only gradients are wrong."""
    if get_world_size() == 1:
        return wrong, images
    found = all_gather_object((wrong, images))
    names = sorted({name for own, _ in found for name in own})
    return names, ', '.join(paths for own, paths in found
                            if own or not names)


def _images(data_batch):
    samples = data_batch.get('data_samples') if isinstance(
        data_batch, dict) else None
    return ', '.join(str(sample.get('img_path')) for sample in samples or ()
                     ) or 'unknown'


def _wrong_predictions(sample):
    """List the predictions of a data sample that are not finite."""
    if not isinstance(sample, BaseDataElement):
        return []
    wrong = []
    for field in sample.keys():
        if not field.startswith(('pred_', 'seg_logits')):
            continue
        value = sample.get(field)
        parts = (dict(value.items()) if isinstance(value, BaseDataElement)
                 else {'': value})
        wrong += [f'{field}.{part}'.rstrip('.') for part in not_finite(parts)]
    return wrong
