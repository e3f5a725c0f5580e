"""Pictures of predictions on data sets that repeat file names."""
import mmcv
from mmseg.engine.hooks import SegVisualizationHook

from genpercept_mm.datasets.hypersim_layout import frame_name, read_color
from genpercept_mm.registry import HOOKS


@HOOKS.register_module()
class SceneVisualizationHook(SegVisualizationHook):
    """mmseg's ``SegVisualizationHook`` for Hypersim's files.

    Pictures are named by scene, camera and frame, where the stock hook
    would overwrite one scene's ``frame.0000`` with the next one's, and
    images may come from ``color.hdf5``. Testing needs no training data. Takes
    the arguments of mmseg's hook.
    """

    def _after_iter(self, runner, batch_idx, data_batch, outputs,
                    mode='val'):
        if not self.draw or mode == 'train' or not self.every_n_inner_iters(
                batch_idx, self.interval):
            return
        for output in outputs:
            path = output.img_path
            image = (read_color(path) if path.endswith('.hdf5') else
                     mmcv.imread(path, channel_order='rgb'))
            self._visualizer.add_datasample(
                f'{mode}_{frame_name(path)}',
                image,
                data_sample=output,
                show=self.show,
                wait_time=self.wait_time,
                # asking a test-only runner for its iteration makes it build
                # the training data
                step=0 if mode == 'test' else runner.iter)
