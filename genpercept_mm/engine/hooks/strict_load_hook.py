"""Refusing to evaluate a checkpoint that does not fit."""
import ast
import re

from mmengine.hooks import Hook

from genpercept_mm.registry import CODECS, HOOKS

from ..model_wrappers import unwrap_model


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Raise if a checkpoint leaves a part of the model without weights.

    mmengine logs missing tensors and different shapes, and continues with
    random values. All dense tasks have tensors of the same shapes, so the
    task is compared too, if the checkpoint contains its config.
    ``tools/test.py`` adds this hook.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner, checkpoint):
        """Compare a checkpoint with the model, before it is loaded.

        Args:
            runner (Runner): Contains the model.
            checkpoint (dict): Contains ``state_dict``, or is one.

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
        trained = _quantity_of(checkpoint)
        if codec is not None and trained not in (None, codec.quantity):
            raise RuntimeError(
                f'The checkpoint was trained for {trained!r}, this config '
                f'predicts {codec.quantity!r}. Use the config it was trained '
                'with.')


def _quantity_of(checkpoint):
    """Read the trained quantity from the config that mmengine saves; None
    if there is none."""
    text = checkpoint.get('meta', {}).get('cfg')
    try:
        model, = (_literal(node.value) for node in ast.parse(text).body
                  if isinstance(node, ast.Assign)
                  and getattr(node.targets[0], 'id', None) == 'model')
        codec = model['decode_head']['codec']
        # the quantity of a codec that is not imported here is unknown
        return CODECS.build(codec).quantity
    except (TypeError, ValueError, SyntaxError, KeyError):
        return None


def _literal(node):
    """Evaluate literals and ``dict(...)``, without running anything else."""
    if isinstance(node, ast.Call) and getattr(
            node.func, 'id', None) == 'dict' and not node.args:
        return {keyword.arg: _literal(keyword.value)
                for keyword in node.keywords}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_literal(element) for element in node.elts]
    return ast.literal_eval(node)
