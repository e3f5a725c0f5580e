import os

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from genpercept_mm.evaluation import SegIoUMetric

CLASSES = ('a', 'b', 'c', 'd')


def samples(seed=0):
    rng = np.random.default_rng(seed)
    return [dict(
        pred_sem_seg=dict(data=torch.from_numpy(rng.integers(0, 4, (1, 6, 7)))
                          ),
        gt_sem_seg=dict(data=torch.from_numpy(
            rng.choice([0, 1, 2, 255], (1, 6, 7)))),
        img_path=f'd/ai_00{i}_001/images/scene_cam_00_final_preview/'
        'frame.0000.tonemap.jpg', reduce_zero_label=False)
        for i in range(3)]


def evaluate(cls, data, **kwargs):
    metric = cls(iou_metrics=['mIoU'], **kwargs)
    metric.dataset_meta = dict(classes=CLASSES)
    for sample in data:
        metric.process({}, [sample])
    return metric.evaluate(len(data))


def brute_force(data, indices):
    ious = []
    for k in indices:
        intersection = union = 0
        for sample in data:
            pred = sample['pred_sem_seg']['data'][0].numpy()
            label = sample['gt_sem_seg']['data'][0].numpy()
            for p, t in zip(pred.flat, label.flat):
                if t != 255:
                    intersection += p == k and t == k
                    union += p == k or t == k
        ious.append(intersection / union)
    return 100 * np.mean(ious)


def test_all_classes_equal_the_stock_metric():
    data = samples()
    stock = evaluate(IoUMetric, data)
    assert evaluate(SegIoUMetric, data) == stock
    assert stock['mIoU'] == pytest.approx(brute_force(data, range(4)),
                                          abs=0.01)


def test_classes_outside_the_subset_count_as_errors_only():
    data = samples()
    result = evaluate(SegIoUMetric, data, class_indices=[0, 2])
    assert result['mIoU'] == pytest.approx(brute_force(data, [0, 2]),
                                           abs=0.01)
    for sample in data:
        sample['pred_sem_seg']['data'] = sample['gt_sem_seg']['data'].clone()
    assert evaluate(SegIoUMetric, data, class_indices=[0, 2])['mIoU'] == 100


def test_index_out_of_range():
    with pytest.raises(ValueError, match=r'must be in 0..3, got \[4\]'):
        evaluate(SegIoUMetric, samples(), class_indices=[4])


def test_misspelt_arguments_are_refused():
    with pytest.raises(TypeError, match='class_indicies'):
        SegIoUMetric(class_indicies=[0])
    SegIoUMetric(iou_metrics=['mIoU'], prefix='x', keep_results=True)


def test_files_of_different_scenes_do_not_overwrite_each_other(tmp_path):
    data = samples()
    evaluate(SegIoUMetric, data, output_dir=str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [
        f'ai_00{i}_001_cam_00_fr0000.png' for i in range(3)]
