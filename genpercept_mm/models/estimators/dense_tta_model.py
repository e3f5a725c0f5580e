"""Test-time augmentation of dense estimators."""
from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData

from genpercept_mm.registry import MODELS


@MODELS.register_module()
class DenseTTAModel(BaseTTAModel):
    """Average the outputs of a `DenseEstimator` over views of an image.

    Outputs are averaged in the network's range, at the original size, and
    decoded once: mirrored normals are turned back before, and classes are
    never averaged as numbers.

    Args:
        **kwargs: Arguments of mmengine's ``BaseTTAModel``; ``module`` is the
            estimator.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.module.test_cfg['keep_output'] = True

    def merge_preds(self, data_samples_list):
        """Merge the predictions for each image.

        Args:
            data_samples_list (list[list[SegDataSample]]): Views of each
                image.

        Returns:
            list[SegDataSample]: The first view of each, with the merged
            prediction.
        """
        codec = self.module.codec
        merged = []
        for views in data_samples_list:
            output = sum(view.pred_output.data for view in views) / len(views)
            sample = views[0]
            del sample.pred_output
            sample.set_data({
                codec.pred_field:
                PixelData(data=codec.decode(output[None])[0])
            })
            merged.append(sample)
        return merged
