"""Pictures of predictions on data sets that repeat file names."""
import mmcv
from mmseg.engine.hooks import SegVisualizationHook

from genpercept_mm.datasets.io.hypersim_io import read_color
from genpercept_mm.evaluation.output_names import OutputNames
from genpercept_mm.registry import HOOKS

from ..model_wrappers import unwrap_model


# the second name is that of configs written before this one
@HOOKS.register_module(
    name=['DenseVisualizationHook', 'SceneVisualizationHook'])
class DenseVisualizationHook(SegVisualizationHook):
    """mmseg's ``SegVisualizationHook`` for files of any dense data set.

    Pictures are named after data set and sample, with sub-folders; the stock
    hook would overwrite ``frame.0000`` of one scene with that of the next.
    Images may come from ``color.hdf5``, and are cropped where the pipeline has
    cropped them (``crop_box``). Testing does not need training data. The
    arguments are those of mmseg's hook.

    Raises:
        ValueError: If two samples have the same name.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._names = {mode: OutputNames(
            'DenseVisualizationHook', with_dataset=True)
            for mode in ('val', 'test')}

    def before_run(self, runner):
        """Give the visualizer the codec of the model, if it has none."""
        codec = getattr(unwrap_model(runner.model), 'codec', None)
        if getattr(self._visualizer, 'codec', codec) is None:
            self._visualizer.codec = codec

    def _after_iter(self, runner, batch_idx, data_batch, outputs,
                    mode='val'):
        if not self.draw or mode == 'train' or not self.every_n_inner_iters(
                batch_idx, self.interval):
            return
        for output in outputs:
            path, flag = output.img_path, 'color'
            if output.get('ignore_orientation'):
                flag = 'color_ignore_orientation'
            image = (read_color(path) if path.endswith('.hdf5') else
                     mmcv.imread(path, flag, channel_order='rgb'))
            if 'crop_box' in output:
                top, bottom, left, right = output.crop_box
                image = image[top:bottom, left:right]
            self._visualizer.add_datasample(
                f'{mode}_{self._names[mode].claim(output)}',
                image,
                data_sample=output,
                show=self.show,
                wait_time=self.wait_time,
                # asking a test-only runner for its iteration would make it
                # build the training data
                step=0 if mode == 'test' else runner.iter)
