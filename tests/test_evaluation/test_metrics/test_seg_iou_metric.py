import os
import re

import cv2
import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from genpercept_mm.datasets import ADE20KNYU40Dataset, HypersimDataset
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


def labelled(ids, pred=None, **more):
    """A sample of maps (H, W)."""
    ids = torch.as_tensor(np.asarray(ids))[None]
    pred = ids if pred is None else torch.as_tensor(np.asarray(pred))[None]
    return dict(dict(
        img_path='img/a.jpg', seg_map_path='seg/a.png',
        gt_sem_seg=dict(data=ids), pred_sem_seg=dict(data=pred)), **more)


@pytest.mark.parametrize('kwargs', [{}, dict(class_indices=[0, 1])])
@pytest.mark.parametrize('ids, wrong', [
    ([[0, 4]], [4]), ([[254, 1, 77]], [77, 254]), ([[-1, 0]], [-1]),
    ([[0, 256, 1]], [256])])
def test_ids_beyond_the_classes_are_refused_with_their_file(
        kwargs, ids, wrong):
    with pytest.raises(ValueError, match='SegIoUMetric: the label seg/a.png '
                       + re.escape(f'holds the ids {wrong}; there are 4')):
        evaluate(SegIoUMetric, [labelled(ids, np.zeros_like(ids))], **kwargs)


def test_the_stock_metric_counts_such_ids_as_others():
    """Which shifts the mean of all classes."""
    ids = np.zeros((4, 6), int)
    ids[:2] = 1
    pred, odd = ids.copy(), ids.copy()
    odd[0, :3] = 7
    scores = [evaluate(IoUMetric, [labelled(label, pred)])['mIoU']
              for label in (ids, odd)]
    assert scores[0] == 100 and scores[1] < 100


@pytest.mark.parametrize('change, message', [
    (lambda data: data.pop('gt_sem_seg'), 'img/a.jpg has no label.*format_on'),
    (lambda data: data['gt_sem_seg'].update(data=torch.ones(1, 3, 2)),
     r'label seg/a.png is \(3, 2\) .* prediction \(2, 3\); do not resize')])
def test_labels_that_do_not_fit_are_named(change, message):
    data = labelled(np.zeros((2, 3), int))
    change(data)
    with pytest.raises(ValueError, match=f'SegIoUMetric: .*{message}'):
        evaluate(SegIoUMetric, [data])


@pytest.mark.parametrize('kwargs, samples', [
    ({}, [dict(img_path='i/a/0.png', sample_name='a/0'),
          dict(img_path='i/b/0.png', sample_name='b/0')]),
    (dict(image_root='i'), [dict(img_path='i/a/0.png'),
                            dict(img_path='i/b/0.png')])])
def test_sub_folders_of_images_are_kept(tmp_path, kwargs, samples):
    rng = np.random.default_rng(0)
    maps = [rng.integers(0, 4, (3, 4)) for _ in samples]
    evaluate(SegIoUMetric, [labelled(ids, **sample)
                            for ids, sample in zip(maps, samples)],
             output_dir=str(tmp_path), **kwargs)
    for folder, ids in zip('ab', maps):
        written = cv2.imread(str(tmp_path / folder / '0.png'),
                             cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(written, ids)


def test_one_name_for_two_images_is_an_error(tmp_path):
    data = [labelled([[0]], img_path=f'i/{folder}/0.png') for folder in 'ab']
    with pytest.raises(ValueError, match='i/b/0.png and i/a/0.png would both'):
        evaluate(SegIoUMetric, data, output_dir=str(tmp_path))


def formatted(tmp_path, data, meta, **kwargs):
    """Write predictions without looking at labels; returns the first."""
    metric = SegIoUMetric(output_dir=str(tmp_path), format_only=True, **kwargs)
    metric.dataset_meta = meta
    for sample in data:
        sample.pop('gt_sem_seg')
        metric.process({}, [sample])
    assert metric.evaluate(len(data)) == {}
    return cv2.imread(str(tmp_path / 'a.png'), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize('meta', [None, {}, dict(classes=None)])
@pytest.mark.parametrize('zero', [True, False])
def test_unlabelled_images_need_no_classes(tmp_path, meta, zero):
    ids = np.array([[0, 3], [149, 254]])
    written = formatted(
        tmp_path, [labelled(ids, reduce_zero_label=zero)], meta,
        class_indices=[0])
    assert written.dtype == np.uint8
    # as in the label files, where 0 is no class
    np.testing.assert_array_equal(written, ids + zero)


@pytest.mark.parametrize('classes, top, kind', [
    (255, 254, np.uint8), (256, 3, np.uint16), (300, 299, np.uint16),
    (None, 299, np.uint16)])
def test_more_than_255_classes_take_16_bits(tmp_path, classes, top, kind):
    ids = np.array([[0, top], [1, 2]])
    meta = None if classes is None else dict(
        classes=[str(index) for index in range(classes)])
    written = formatted(tmp_path, [labelled(ids)], meta)
    assert written.dtype == kind
    np.testing.assert_array_equal(written, ids)


def test_every_number_has_a_rule():
    found = SegIoUMetric(iou_metrics=['mIoU', 'mDice', 'mFscore'])
    found.dataset_meta = dict(classes=CLASSES)
    for sample in samples():
        found.process({}, [sample])
    assert found.evaluate(3).keys() == SegIoUMetric.BETTER.keys()
    assert set(SegIoUMetric.BETTER.values()) == {'greater'}


@pytest.mark.parametrize('data_set, reduced', [
    (HypersimDataset, False), (ADE20KNYU40Dataset, True)])
def test_classes_of_nyu40_are_written_as_their_files_count(
        tmp_path, data_set, reduced):
    """From 1, whichever way the label was read."""
    metric = SegIoUMetric(output_dir=str(tmp_path), format_only=True)
    metric.dataset_meta = data_set.METAINFO
    metric.process({}, [dict(
        img_path='a.png', reduce_zero_label=reduced,
        pred_sem_seg=dict(data=torch.tensor([[[0, 39]]])))])
    written, = tmp_path.glob('*.png')
    assert cv2.imread(str(written), cv2.IMREAD_UNCHANGED).tolist() == [[1, 40]]
