"""Checkpoints that only contain what was trained."""
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import print_log

from genpercept_mm.registry import HOOKS
from genpercept_mm.utils.trained_weights import (
    complete,
    frozen_checksums,
    leave_out,
)

from ..model_wrappers import unwrap_model


@HOOKS.register_module()
class TrainedWeightsHook(Hook):
    """Leave frozen pretrained weights out of checkpoints.

    For LoRA and frozen parts: a file contains the parameters that were
    trained and all buffers (statistics of batch norms, the embedded prompt).
    When the file is tested or resumed, the others are read from
    ``pretrained`` of the same config again and compared with checksums in
    the file. Frozen weights that do not come from ``pretrained``, or that
    ``load_from`` had replaced, stay in the file.

    Add it to ``custom_hooks``; testing needs it as well.
    ``tools/model_converters/merge_lora.py`` makes complete checkpoints.
    """

    # before StrictLoadHook, which refuses missing tensors
    priority = 'HIGHEST'

    def __init__(self):
        # checksums of the frozen weights that the config alone determines
        self.initial = None

    def after_load_checkpoint(self, runner, checkpoint):
        """Complete a checkpoint before it is loaded.

        Args:
            runner (Runner): Contains the model, in training with its
                initial weights.
            checkpoint (dict): From this hook, or a complete one.

        Raises:
            RuntimeError: If the model does not have the weights that it was
                trained with.
        """
        complete(checkpoint, unwrap_model(runner.model))
        self._remember(runner)

    def before_train(self, runner):
        """Remember the frozen weights if no checkpoint was loaded.

        Args:
            runner (Runner): Contains the model.

        Raises:
            ValueError: If another hook keeps averaged weights.
        """
        if any(isinstance(hook, EMAHook) for hook in runner.hooks):
            raise ValueError('TrainedWeightsHook: EMAHook stores whole '
                             'models; use only one of the two.')
        self._remember(runner)
        model = unwrap_model(runner.model)
        total = sum(value.numel() for value in model.state_dict().values())
        fixed = sum(model.get_parameter(name).numel()
                    for name in self._unchanged(model))
        print_log(
            f'TrainedWeightsHook: checkpoints hold {total - fixed:,} of '
            f'{total:,} values', logger='current')

    def before_save_checkpoint(self, runner, checkpoint):
        """Remove what a model of this config already has.

        Args:
            runner (Runner): Contains the model.
            checkpoint (dict): Its ``state_dict`` becomes smaller; ``meta``
                receives ``left_out``, the names and checksums.
        """
        leave_out(checkpoint, self._unchanged(unwrap_model(runner.model)))

    def _remember(self, runner):
        if self.initial is None:
            self.initial = frozen_checksums(unwrap_model(runner.model))

    def _unchanged(self, model):
        return {name: value for name, value
                in frozen_checksums(model).items()
                if self.initial.get(name) == value}
