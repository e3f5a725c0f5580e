"""Refusing to evaluate a checkpoint that does not fit."""
import copy
import re
import warnings

import torch
from mmengine.hooks import Hook

from genpercept_mm.registry import HOOKS
from genpercept_mm.utils.state_dicts import find_misfits

from ..model_wrappers import unwrap_model


def _fits_when_renamed(model, state):
    """Tell whether a model takes all of its tensors from a state by names of
    older versions, which it changes while it loads them."""
    # a copy without values
    memo = {id(tensor): _without_values(tensor) for tensor in (
        *model.parameters(), *model.buffers())}
    copied = copy.deepcopy(model, memo)
    try:
        with warnings.catch_warnings():
            # that loading into a copy without values does nothing
            warnings.simplefilter('ignore')
            missing = copied.load_state_dict(dict(state), strict=False)[0]
    except RuntimeError:  # another shape
        return False
    return not [key for key in missing
                if not key.endswith('num_batches_tracked')]


def _without_values(tensor):
    empty = torch.empty_like(tensor, device='meta')
    if isinstance(tensor, torch.nn.Parameter):
        return torch.nn.Parameter(empty, requires_grad=tensor.requires_grad)
    return empty


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Raise if a checkpoint leaves a part of the model without weights.

    mmengine logs missing tensors and different shapes, and goes on with
    random values. The tensors of different dense tasks have the same shapes,
    so the quantity is compared too, where the checkpoint's ``meta`` names it
    (see `SafeCheckpointHook`). ``tools/test.py`` adds this hook.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner, checkpoint):
        """Compare a checkpoint with the model, before it is loaded.

        The checkpoint contains ``state_dict``, or is one.

        Raises:
            RuntimeError: If tensors are missing or have another shape, or
                the checkpoint was trained for another quantity.
        """
        # mmengine also strips the wrapper's prefix, after this hook
        given = {re.sub(r'^module\.', '', key): value for key, value in
                 checkpoint.get('state_dict', checkpoint).items()}
        model = unwrap_model(runner.model)
        misfits = find_misfits(given, model.state_dict())
        if misfits and not _fits_when_renamed(model, given):
            raise RuntimeError(
                f'The checkpoint does not belong to this config: {misfits}. '
                'Use the config it was trained with.')
        codec = getattr(model, 'codec', None)
        trained = (checkpoint.get('meta') or {}).get('quantity')
        if codec is not None and trained not in (None, codec.quantity):
            raise RuntimeError(
                f'The checkpoint was trained for {trained!r}, this config '
                f'predicts {codec.quantity!r}. Use the config it was trained '
                'with.')
