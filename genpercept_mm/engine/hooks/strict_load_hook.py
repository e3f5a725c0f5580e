"""Refusing to evaluate a checkpoint that does not fit."""
import re

from mmengine.hooks import Hook

from genpercept_mm.registry import HOOKS

from ..model_wrappers import unwrap_model


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
        own = model.state_dict()
        missing = [key for key in own if key not in given
                   and not key.endswith('num_batches_tracked')]
        wrong = [f'{key}: {tuple(given[key].shape)} there, '
                 f'{tuple(value.shape)} here' for key, value in own.items()
                 if key in given and given[key].shape != value.shape
                 and not key.endswith('prompt_embeds')]
        if missing or wrong:
            raise RuntimeError(
                'The checkpoint does not belong to this config: '
                f'{len(missing)} of {len(own)} tensors are missing '
                f'({", ".join(missing[:5])}), {len(wrong)} have another '
                f'shape ({"; ".join(wrong[:5])}). Use the config it was '
                'trained with.')
        codec = getattr(model, 'codec', None)
        trained = (checkpoint.get('meta') or {}).get('quantity')
        if codec is not None and trained not in (None, codec.quantity):
            raise RuntimeError(
                f'The checkpoint was trained for {trained!r}, this config '
                f'predicts {codec.quantity!r}. Use the config it was trained '
                'with.')
