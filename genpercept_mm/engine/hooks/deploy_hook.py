"""Testing a folded model."""
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper

from genpercept_mm.models.utils.folding import switch_to_deploy
from genpercept_mm.registry import HOOKS


@HOOKS.register_module()
class DeployHook(Hook):
    """Fold what is constant in the model before a test.

    See `genpercept_mm.models.utils.folding.switch_to_deploy`. ``tools/test.py
    --deploy`` adds this hook.
    """

    def before_test(self, runner):
        """Fold the model, whose weights are loaded by now.

        Raises:
            ValueError: If nothing in the model can be folded.
        """
        # the averaged weights are those of the checkpoint; a copy that is not
        # folded cannot take the model's place
        runner._hooks = [hook for hook in runner.hooks
                         if not isinstance(hook, EMAHook)]
        model = runner.model
        switch_to_deploy(model.module if is_model_wrapper(model) else model)
