"""cuDNN's search for the fastest algorithm, where sizes repeat."""
import torch
from mmengine.hooks import Hook

from genpercept_mm.registry import HOOKS


@HOOKS.register_module()
class CudnnBenchmarkHook(Hook):
    """Switch cuDNN's benchmark off while a model is validated or tested.

    ``env_cfg.cudnn_benchmark`` makes cuDNN try its algorithms on each new
    input size of each convolution. That pays in training, where crops have
    one size; a test set of photographs has almost as many sizes as images, and
    the search takes longer than the prediction.
    """

    def __init__(self):
        self._before = None

    def _switch_off(self, runner):
        self._before = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = False

    def _restore(self, runner):
        torch.backends.cudnn.benchmark = self._before

    before_val = before_test = _switch_off
    after_val = after_test = _restore
