"""Names of classes for images without labels."""
from mmengine.hooks import Hook

from genpercept_mm.registry import HOOKS


@HOOKS.register_module()
class ClassNamesHook(Hook):
    """Let tests on images without labels know the classes of the training.

    Where the test data have no ``classes``, metrics and visualizer get those
    that the checkpoint recorded. ``tools/test.py`` adds this hook.
    """

    def __init__(self):
        self.meta = {}

    def after_load_checkpoint(self, runner, checkpoint):
        """Remember the classes of the training."""
        meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
        self.meta = {key: meta[key] for key in ('classes', 'palette')
                     if key in meta}

    def before_test(self, runner):
        """Complete the meta information of the test data."""
        loop = runner.test_loop
        meta = dict(getattr(loop.dataloader.dataset, 'metainfo', {}))
        if 'classes' in meta or 'classes' not in self.meta:
            return
        meta.update(self.meta)
        loop.evaluator.dataset_meta = runner.visualizer.dataset_meta = meta
