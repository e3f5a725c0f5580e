"""Pictures of predictions on data sets that repeat file names."""
import mmcv
from mmseg.engine.hooks import SegVisualizationHook

from genpercept_mm.datasets.io.hypersim_io import frame_name, read_color
from genpercept_mm.registry import HOOKS


# the second name is that of configs written before this one
@HOOKS.register_module(
    name=['DenseVisualizationHook', 'SceneVisualizationHook'])
class DenseVisualizationHook(SegVisualizationHook):
    """mmseg's ``SegVisualizationHook`` for files of any dense data set.

    Pictures are named after data set and sample, or after scene, camera and
    frame; the stock hook would overwrite ``frame.0000`` of one scene with
    that of the next. Images may come from ``color.hdf5``, and are cropped
    where the pipeline has cropped them (``crop_box``). Testing does not
    need training data. The arguments are those of mmseg's hook.
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
                # asking a test-only runner for its iteration would make it
                # build the training data
                step=0 if mode == 'test' else runner.iter)


def _name(sample):
    """Name a sample uniquely among all data sets of a test."""
    if 'sample_name' not in sample:
        return frame_name(sample.img_path)
    return '_'.join([sample.dataset_name,
                     *sample.sample_name.replace('\\', '/').split('/')])
