import cv2
import numpy as np
import pytest

from genpercept_mm.evaluation.metrics import BaseAlphaMetric


class MeanErrorMetric(BaseAlphaMetric):

    def evaluate_sample(self, field, pred, label, mask):
        return dict(error=np.abs(pred - label).mean())


def sample(**more):
    return dict(
        img_path='a.jpg',
        pred_alpha_map=dict(data=np.array([[[0, 51, 254.9]]]) / 255),
        gt_alpha_map=dict(data=np.zeros((1, 1, 3))), **more)


def test_predictions_are_written_with_8_bits(tmp_path):
    metric = MeanErrorMetric(output_dir=str(tmp_path))
    metric.process({}, [sample()])
    assert metric.evaluate(1)['error'] == pytest.approx(305.9 / 765)
    written = cv2.imread(str(tmp_path / 'a.png'), cv2.IMREAD_UNCHANGED)
    assert written.tolist() == [[0, 51, 254]]


def test_whole_images_are_measured():
    mask = dict(data=np.array([[[True, False, True]]]))
    with pytest.raises(ValueError, match='measures whole images, but '
                       'gt_alpha_mask leaves 1 pixels of a.jpg out'):
        MeanErrorMetric().process({}, [sample(gt_alpha_mask=mask)])
