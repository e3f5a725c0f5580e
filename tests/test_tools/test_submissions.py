"""Files for test servers, through the hosts' own metrics and tools/test.py.

The test sets have no labels, as those of the servers.
"""
import importlib.util
import json
import os
import os.path as osp
import pickle

import cv2
import numpy as np
import pytest
import torch
from conftest import run_python
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from PIL import Image

LOADER = '''dict(
    batch_size=1, num_workers=0, persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False), dataset=dict(
        type='{dataset}', {data}, pipeline=pipeline, test_mode=True))'''
POSE = '''
default_scope = 'mmpose'
custom_imports = dict(imports=['genpercept_mm'])
codec = dict(
    type='UDPHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=1)
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3,
        bgr_to_rgb=True),
    backbone=dict(
        type='genpercept_mm.SDUNet', arch='mini', out_indices=(0, )),
    head=dict(
        type='HeatmapHead', in_channels=32, out_channels=17,
        deconv_out_channels=(8, ), deconv_kernel_sizes=(4, ),
        loss=dict(type='KeypointMSELoss'), decoder=codec),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False))
pipeline = [
    dict(type='LoadImage'), dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=(48, 64), use_udp=True),
    dict(type='PackPoseInputs')]
test_dataloader = {loader}
test_cfg = dict()
test_evaluator = dict(
    type='CocoMetric', ann_file='{root}/image_info.json', format_only=True,
    outfile_prefix='{root}/submission/person')
'''
SEG = '''
default_scope = 'mmseg'
custom_imports = dict(imports=['genpercept_mm'])
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[127.5] * 3, std=[127.5] * 3,
        bgr_to_rgb=True),
    backbone=dict(
        type='genpercept_mm.SDUNet', arch='mini', out_indices=(0, )),
    decode_head=dict(
        type='FCNHead', in_channels=32, channels=8, num_convs=1,
        concat_input=False, num_classes={classes}),
    test_cfg=dict(mode='whole'))
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 64), keep_ratio=True),
    dict(type='PackSegInputs')]
test_dataloader = {loader}
test_cfg = dict()
test_evaluator = dict(
    type='{metric}', format_only=True, {more}output_dir='{root}/submission')
'''
# (H, W) of the images, neither of which is the network's
SIZES = [(48, 64), (53, 37)]
# Ids of Cityscapes' 19 classes (cityscapesscripts, helpers/labels.py)
CITYSCAPES_IDS = np.array([
    7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33])


def write_images(folder, names):
    os.makedirs(folder)
    rng = np.random.default_rng(0)
    for name, size in zip(names, SIZES, strict=True):
        small = rng.integers(0, 256, (6, 8, 3), np.uint8)
        cv2.imwrite(osp.join(folder, name), cv2.resize(small, size[::-1]))


def predict(root, text):
    """Run tools/test.py with random weights; gives the raw results."""
    config, weights = osp.join(root, 'config.py'), osp.join(root, 'x.pth')
    with open(config, 'w') as file:
        file.write(text)
    cfg = Config.fromfile(config)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    # scores that differ from pixel to pixel
    for name, parameter in model.named_parameters():
        if 'head' in name and parameter.ndim > 1:
            torch.nn.init.normal_(parameter)
    torch.save(dict(state_dict=model.state_dict()), weights)
    raw = osp.join(root, 'raw.pkl')
    run_python('tools/test.py', config, weights, '--work-dir',
               osp.join(root, 'work'), '--out', raw)
    with open(raw, 'rb') as file:
        return pickle.load(file)


# -- COCO keypoints -----------------------------------------------------------


def write_coco(root):
    """Two images; three persons, one with a hidden half, and one crowd."""
    names = ['000000000011.png', '000000000022.png']
    write_images(osp.join(root, 'images'), names)
    images = [dict(id=int(name[:12]), file_name=name, height=size[0],
                   width=size[1])
              for name, size in zip(names, SIZES, strict=True)]
    rng = np.random.default_rng(1)
    annotations = []
    for index, (image, box) in enumerate([
            (11, (4, 5, 26, 40)), (11, (33, 2, 28, 44)),
            (22, (3, 6, 30, 45)), (22, (1, 1, 5, 5))]):
        x, y, w, h = box
        seen = np.full(17, 2 if index < 3 else 0)
        if index == 1:
            seen[8:] = 0
        points = np.c_[rng.uniform(x, x + w, 17), rng.uniform(y, y + h, 17),
                       seen].round(2) * (seen > 0)[:, None]
        annotations.append(dict(
            id=index + 1, image_id=image, category_id=1, bbox=box,
            area=0.6 * w * h, iscrowd=int(index == 3),
            num_keypoints=int((seen > 0).sum()),
            keypoints=points.ravel().tolist()))
    content = dict(
        images=images, annotations=annotations,
        categories=[dict(id=1, name='person')])
    with open(osp.join(root, 'labels.json'), 'w') as file:
        json.dump(content, file)
    return osp.join(root, 'labels.json'), osp.join(root, 'images')


@pytest.fixture(params=['drawn', 'photos'])
def coco(request, tmp_path):
    """Annotation file and image folder."""
    if request.param == 'drawn':
        return write_coco(str(tmp_path))
    folder = osp.join(request.getfixturevalue('samples'), 'coco')
    return (osp.join(folder, 'annotations/person_keypoints_val2017.json'),
            osp.join(folder, 'val2017'))


def score(labels, images, change=None, **arguments):
    """Give mmpose's data set to its metric, as a prediction."""
    from mmpose.datasets import CocoDataset
    from mmpose.evaluation.metrics import CocoMetric
    dataset = CocoDataset(
        ann_file=labels, data_prefix=dict(img=images), test_mode=True)
    metric = CocoMetric(ann_file=labels, **arguments)
    metric.dataset_meta = dataset.metainfo
    for person in dataset:
        points = person['keypoints'].astype(float)
        if change is not None:
            points = change(person, points, dataset.metainfo['sigmas'])
        metric.process([], [dict(
            id=person['id'], img_id=person['img_id'],
            gt_instances=dict(bbox_scores=np.ones(1)),
            pred_instances=dict(
                keypoints=points, keypoint_scores=np.ones((1, 17))))])
    assert len(dataset) == 3
    return metric.evaluate(len(dataset))


def test_the_labels_score_one(coco):
    scores = score(*coco)
    assert scores['coco/AP'] == pytest.approx(1)
    assert scores['coco/AR'] == pytest.approx(1)


def test_a_known_displacement_gives_the_score_of_the_formula(coco):
    """Similarity 0.72 passes five of ten thresholds, .5 to .7."""

    def displace(person, points, sigmas):
        seen = person['keypoints_visible'][0] > 0
        variances = (2 * sigmas[seen])**2 * 2 * person['area']
        low, high = 0., 100.
        for _ in range(60):
            distance = (low + high) / 2
            similarity = np.exp(-distance**2 / variances).mean()
            low, high = ((distance, high) if similarity > 0.72
                         else (low, distance))
        return points + distance * np.array([0.6, -0.8])

    assert score(*coco, displace)['coco/AP'] == pytest.approx(0.5)
    assert score(*coco, lambda person, points, _: points + 500)[
        'coco/AP'] == 0


def test_pycocotools_scores_the_file_as_mmpose_does(coco, tmp_path):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
    prefix = str(tmp_path / 'submission/labels')
    (tmp_path / 'submission').mkdir()
    assert score(*coco, format_only=True, outfile_prefix=prefix) == {}
    labels = COCO(coco[0])
    evaluation = COCOeval(
        labels, labels.loadRes(f'{prefix}.keypoints.json'), 'keypoints')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


def test_keypoint_results_of_a_test_set(tmp_path):
    """Boxes of a detector, image information without annotations."""
    import pycocotools.coco
    import xtcocotools.coco
    root = str(tmp_path)
    labels, _ = write_coco(root)
    with open(labels) as file:
        content = json.load(file)
    boxes = [dict(image_id=person['image_id'], category_id=1, score=0.9,
                  bbox=person['bbox'])
             for person in content.pop('annotations')[:3]]
    # what is no person is left out
    boxes.append(dict(boxes[0], category_id=18))
    (tmp_path / 'image_info.json').write_text(json.dumps(content))
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    raw = predict(root, POSE.format(root=root, loader=LOADER.format(
        dataset='CocoDataset', data=f'data_root={root!r}, '
        "data_prefix=dict(img='images/'), ann_file='image_info.json', "
        f"bbox_file='{root}/boxes.json'")))
    assert os.listdir(tmp_path / 'submission') == ['person.keypoints.json']
    path = str(tmp_path / 'submission/person.keypoints.json')
    with open(path) as file:
        submitted = json.load(file)
    assert len(submitted) == len(raw) == 3
    assert len({sum(person['keypoints']) for person in submitted}) == 3
    # mmpose sorts those of an image by score
    order = [min(range(3), key=lambda i: np.abs(np.subtract(
        submitted[i]['keypoints'][:2],
        result['pred_instances']['keypoints'][0, 0])).sum())
        for result in raw]
    assert sorted(order) == [0, 1, 2]
    for index, box, result in zip(order, boxes[:3], raw, strict=True):
        person = submitted[index]
        assert person['image_id'] == box['image_id'] == result['img_id']
        assert person['category_id'] == 1
        predicted = result['pred_instances']
        points = np.array(person['keypoints']).reshape(17, 3)
        np.testing.assert_allclose(
            points[:, :2], predicted['keypoints'][0], rtol=1e-6)
        np.testing.assert_allclose(
            points[:, 2], predicted['keypoint_scores'][0], rtol=1e-6)
        # the box's score, times the mean of the certain keypoints
        certain = points[points[:, 2] > 0.2, 2]
        assert person['score'] == pytest.approx(0.9 * certain.mean())
        # in pixels of the image; refined peaks of noise may lie outside
        center = np.array(box['bbox'][:2]) + np.array(box['bbox'][2:]) / 2
        assert np.abs(np.median(points[:, :2], axis=0) - center).max() < 25
    for library in (pycocotools, xtcocotools):
        loaded = library.coco.COCO(labels).loadRes(path)
        assert len(loaded.getAnnIds()) == 3


# -- Label maps ---------------------------------------------------------------


def label_maps(tmp_path, classes, dataset, names, prefix, metric='IoUMetric',
               more=''):
    """Predict; gives, for each image, the file and the predicted class."""
    root = str(tmp_path)
    write_images(osp.join(root, prefix), names)
    raw = predict(root, SEG.format(
        root=root, classes=classes, metric=metric, more=more,
        loader=LOADER.format(
            dataset=dataset, data=f'data_root={root!r}, '
            f'data_prefix=dict(img_path={prefix!r})')))
    files = [f'{osp.splitext(osp.basename(name))[0]}.png' for name in names]
    assert sorted(os.listdir(osp.join(root, 'submission'))) == sorted(files)
    # Cityscapes' files have a palette
    pairs = [(np.array(Image.open(osp.join(root, 'submission', file))),
              result['pred_sem_seg']['data'][0].numpy())
             for file, result in zip(files, raw, strict=True)]
    for size, (file, predicted) in zip(SIZES, pairs, strict=True):
        assert file.shape == predicted.shape == size
        assert file.dtype == np.uint8
        assert len(np.unique(predicted)) > 2
    return pairs


def test_ade20k_files_hold_ids_from_one(tmp_path):
    for file, predicted in label_maps(
            tmp_path, 150, 'ADE20KDataset',
            ['ADE_test_00000001.jpg', 'ADE_test_00000002.jpg'], 'testing'):
        assert np.array_equal(file, predicted + 1)


CITYSCAPES = [
    'berlin_000000_000019_leftImg8bit.png',
    'berlin_000001_000019_leftImg8bit.png']


@pytest.mark.slow
def test_cityscapes_files_of_mmsegs_general_metric_hold_training_ids(
        tmp_path):
    """Which the server does not take: it wants the other metric's."""
    for file, predicted in label_maps(
            tmp_path, 19, 'CityscapesDataset', CITYSCAPES, 'test/berlin'):
        assert np.array_equal(file, predicted)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec('cityscapesscripts') is None,
    reason='needs cityscapesscripts')
def test_cityscapes_files_hold_label_ids(tmp_path):
    for file, predicted in label_maps(
            tmp_path, 19, 'CityscapesDataset', CITYSCAPES, 'test/berlin',
            'CityscapesMetric', 'keep_results=True, '):
        assert np.array_equal(file, CITYSCAPES_IDS[predicted])
