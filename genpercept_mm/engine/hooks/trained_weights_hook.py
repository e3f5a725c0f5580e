"""Checkpoints that hold what was trained, and nothing else."""
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper

from genpercept_mm.registry import HOOKS
from genpercept_mm.utils.trained_weights import (
    complete,
    frozen_checksums,
    leave_out,
)


@HOOKS.register_module()
class TrainedWeightsHook(Hook):
    """Leave fixed pretrained weights out of checkpoints.

    For LoRA and frozen parts: a file keeps the parameters that were trained
    and all buffers (statistics of batch norms, the embedded prompt). The
    others are read from ``pretrained`` of the same config again, when the
    file is tested or resumed, and compared with checksums in it. Fixed
    weights that ``pretrained`` does not bring, or that ``load_from`` had
    replaced, stay in the file.

    Add it to ``custom_hooks``; tests need it too.
    ``tools/model_converters/merge_lora.py`` makes whole checkpoints.
    """

    # before StrictLoadHook, which refuses missing tensors
    priority = 'HIGHEST'

    def __init__(self):
        # checksums of the fixed weights, as the config alone gives them
        self.initial = None

    def after_load_checkpoint(self, runner, checkpoint):
        """Fill a checkpoint up, before it is loaded.

        Args:
            runner (Runner): Holds the model, in training with its initial
                weights.
            checkpoint (dict): From this hook, or a whole one.

        Raises:
            RuntimeError: If the model's own weights are not those that it
                was trained with.
        """
        complete(checkpoint, _bare(runner.model))
        self._remember(runner)

    def before_train(self, runner):
        """Remember the fixed weights, where no checkpoint was loaded.

        Args:
            runner (Runner): Holds the model.

        Raises:
            ValueError: If another hook keeps averaged weights.
        """
        if any(isinstance(hook, EMAHook) for hook in runner.hooks):
            raise ValueError('TrainedWeightsHook: EMAHook stores whole '
                             'models; use one of the two.')
        self._remember(runner)
        model = _bare(runner.model)
        total = sum(value.numel() for value in model.state_dict().values())
        fixed = sum(model.get_parameter(name).numel()
                    for name in self._unchanged(model))
        print_log(
            f'TrainedWeightsHook: checkpoints hold {total - fixed:,} of '
            f'{total:,} values', logger='current')

    def before_save_checkpoint(self, runner, checkpoint):
        """Take out what a model of this config has anyway.

        Args:
            runner (Runner): Holds the model.
            checkpoint (dict): Its ``state_dict`` gets smaller; ``meta``
                gets ``left_out``, names and checksums.
        """
        leave_out(checkpoint, self._unchanged(_bare(runner.model)))

    def _remember(self, runner):
        if self.initial is None:
            self.initial = frozen_checksums(_bare(runner.model))

    def _unchanged(self, model):
        return {name: value for name, value
                in frozen_checksums(model).items()
                if self.initial.get(name) == value}


def _bare(model):
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model
