"""Pictures of predictions on data sets that repeat file names."""
import mmcv
from mmseg.engine.hooks import SegVisualizationHook

from genpercept_mm.datasets.hypersim_layout import frame_name, read_color
from genpercept_mm.registry import HOOKS


@HOOKS.register_module()
class SceneVisualizationHook(SegVisualizationHook):
    """mmseg's ``SegVisualizationHook`` for Hypersim's and KITTI's files.

    Pictures are named by data set and sample, or by scene, camera and frame,
    where the stock hook would overwrite one scene's ``frame.0000`` with the
    next one's. Images may come from ``color.hdf5``, and are cut where the
    pipeline has cut them (``crop_box``). Testing needs no training data.
    Takes the arguments of mmseg's hook.
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
            if 'crop_box' in output:
                top, bottom, left, right = output.crop_box
                image = image[top:bottom, left:right]
            self._visualizer.add_datasample(
                f'{mode}_{_name(output)}',
                image,
                data_sample=output,
                show=self.show,
                wait_time=self.wait_time,
                # asking a test-only runner for its iteration makes it build
                # the training data
                step=0 if mode == 'test' else runner.iter)


def _name(sample):
    """Name a sample uniquely among all data sets of a test."""
    if 'sample_name' not in sample:
        return frame_name(sample.img_path)
    return '_'.join([sample.dataset_name,
                     *sample.sample_name.replace('\\', '/').split('/')])
