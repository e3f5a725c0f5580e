"""Checkpoints that hold the trained weights and no others."""
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import print_log

from genpercept_mm.registry import HOOKS
from genpercept_mm.utils.trained_weights import (
    frozen_checksums,
    restore_frozen,
    strip_frozen,
)

from ..model_wrappers import unwrap_model


@HOOKS.register_module()
class TrainedWeightsHook(Hook):
    """Strip frozen pretrained weights from checkpoints.

    For LoRA and frozen parts: a file keeps the trained parameters and all
    buffers (statistics of batch norms, the embedded prompt). The frozen
    parameters are read again from ``pretrained`` of the same config when the
    file is tested or resumed, and compared with checksums in the file.
    Frozen weights that ``pretrained`` does not bring, or that ``load_from``
    replaced, stay in the file.

    Add the hook to ``custom_hooks``, for tests as well.
    ``tools/model_converters/merge_lora.py`` makes whole checkpoints.
    """

    # before StrictLoadHook, which refuses missing tensors
    priority = 'HIGHEST'

    def __init__(self):
        # checksums of the frozen weights, as the config alone gives them
        self.initial = None

    def after_load_checkpoint(self, runner, checkpoint):
        """Restore the frozen weights of a checkpoint before it is loaded.

        Raises:
            RuntimeError: If the model's frozen weights are not those of
                the training.
        """
        restore_frozen(checkpoint, unwrap_model(runner.model))
        self._remember(runner)

    def before_train(self, runner):
        """Remember the frozen weights, where no checkpoint was loaded.

        Raises:
            ValueError: If another hook keeps averaged weights.
        """
        if any(isinstance(hook, EMAHook) for hook in runner.hooks):
            raise ValueError('TrainedWeightsHook: EMAHook stores whole '
                             'models; use only one of the two.')
        self._remember(runner)
        model = unwrap_model(runner.model)
        total = sum(value.numel() for value in model.state_dict().values())
        frozen = sum(model.get_parameter(name).numel()
                    for name in self._unchanged(model))
        print_log(
            f'TrainedWeightsHook: checkpoints hold {total - frozen:,} of '
            f'{total:,} values', logger='current')

    def before_save_checkpoint(self, runner, checkpoint):
        """Take out what a model of this config has by itself.

        The checkpoint's ``state_dict`` loses these tensors; its ``meta`` gets
        their names and checksums as ``left_out``.
        """
        strip_frozen(checkpoint, self._unchanged(unwrap_model(runner.model)))

    def _remember(self, runner):
        if self.initial is None:
            self.initial = frozen_checksums(unwrap_model(runner.model))

    def _unchanged(self, model):
        return {name: value for name, value
                in frozen_checksums(model).items()
                if self.initial.get(name) == value}
