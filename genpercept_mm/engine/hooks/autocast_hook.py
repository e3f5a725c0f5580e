"""Validation and testing in mixed precision."""
from functools import wraps

import torch
from mmengine.hooks import Hook

from genpercept_mm.registry import HOOKS
from genpercept_mm.utils.arguments import check_choice

DTYPES = dict(bfloat16=torch.bfloat16, float16=torch.float16)


@HOOKS.register_module()
class AutocastHook(Hook):
    """Let the model predict under autocast, and only the model: codecs and
    metrics compute in fp32.

    mmengine's loops have ``fp16=True``, which knows float16 alone on GPUs.
    ``--amp`` of tools/train.py and tools/test.py adds this hook.

    Args:
        dtype (str): ``'bfloat16'`` or ``'float16'``. Defaults to 'bfloat16'.

    Raises:
        ValueError: If ``dtype`` is another one.
    """

    def __init__(self, dtype='bfloat16'):
        check_choice('AutocastHook', 'dtype', dtype, tuple(DTYPES))
        self.dtype = DTYPES[dtype]

    def before_run(self, runner):
        """Wrap the steps of validation and testing."""
        for name in ('val_step', 'test_step'):
            if name not in vars(runner.model):
                setattr(runner.model, name, self._within(
                    getattr(runner.model, name), runner.model))

    def after_run(self, runner):
        """Give the model its own steps back."""
        for name in ('val_step', 'test_step'):
            vars(runner.model).pop(name, None)

    def _within(self, step, model):

        @wraps(step)
        def autocast(*args, **kwargs):
            device = next(model.parameters()).device.type
            with torch.autocast(device, dtype=self.dtype):
                return step(*args, **kwargs)

        return autocast
