"""Detector and pose model through mmpose's own inferencer and demo tool."""
import json
import os.path as osp

import cv2
import numpy as np
import pytest
import torch
from conftest import run_python
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

INFERENCER = '''
import json, sys
import genpercept_mm  # without a compiled mmcv
from mmpose.apis import MMPoseInferencer
pose, det, image, out = sys.argv[1:]
inferencer = MMPoseInferencer(
    pose2d=pose + '.py', pose2d_weights=pose + '.pth', device='cpu',
    det_model=det + '.py', det_weights=det + '.pth', det_cat_ids=0)
result = next(inferencer(image, bbox_thr=0., kpt_thr=0., nms_thr=1.,
                         vis_out_dir=out, pred_out_dir=out))
'''
DEMO_TOOL = '''
import os, runpy, sys
import genpercept_mm, mmpose
sys.argv[0] = os.path.join(os.path.dirname(mmpose.__file__), '.mim', 'demo',
                           'topdown_demo_with_mmdet.py')
runpy.run_path(sys.argv[0], run_name='__main__')
'''


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """A config and a checkpoint of a detector and of a pose model, small,
    with random weights."""
    pytest.importorskip('mmpose')
    folder = tmp_path_factory.mktemp('people')
    pose = Config.fromfile('configs/mini/genpercept_heatmap_mini-people.py')
    pose.merge_from_dict({'model.backbone.pretrained': None})
    det = Config.fromfile('configs/mixing/mmdet_faster-rcnn_coco.py')
    det.merge_from_dict({
        'model.backbone.arch': 'mini', 'model.backbone.pretrained': None,
        'model.neck.in_channels': [32, 64, 96, 96],
        # random scores are low
        'model.test_cfg.rcnn.score_thr': 0.0,
        'model.test_cfg.rcnn.max_per_img': 20})
    paths = []
    for name, scope, cfg in (('pose', 'mmpose', pose), ('det', 'mmdet', det)):
        cfg.dump(folder / f'{name}.py')
        torch.manual_seed(0)
        with DefaultScope.overwrite_default_scope(scope):
            model = MODELS.build(cfg.model)
        torch.save(dict(state_dict=model.state_dict(), meta={}),
                   folder / f'{name}.pth')
        paths.append(str(folder / name))
    image = str(folder / 'image.jpg')
    cv2.imwrite(image, np.random.default_rng(0).integers(
        0, 255, (96, 128, 3), np.uint8))
    return paths, image


def check_poses(poses):
    assert poses
    for pose in poses:
        keypoints = np.array(pose['keypoints'])
        assert keypoints.shape == (17, 2) and np.isfinite(keypoints).all()
        left, top, right, bottom = np.ravel(pose['bbox'])
        assert 0 <= left < right <= 128 and 0 <= top < bottom <= 96


@pytest.mark.slow
@pytest.mark.nightly
def test_mmposes_inferencer(models, tmp_path):
    paths, image = models
    run_python('-c', INFERENCER, *paths, image, tmp_path)
    with open(tmp_path / 'image.json') as file:
        check_poses(json.load(file))
    drawn = cv2.imread(str(tmp_path / 'image.jpg'))
    assert drawn.shape == (96, 128, 3)
    assert (drawn != cv2.imread(image)).mean() > 0.01


@pytest.mark.nightly
def test_mmposes_demo_tool(models, tmp_path):
    (pose, det), image = models
    run_python(
        '-c', DEMO_TOOL, det + '.py', det + '.pth', pose + '.py',
        pose + '.pth', '--input', image, '--output-root', tmp_path,
        '--device', 'cpu', '--bbox-thr', 0, '--nms-thr', 1, '--kpt-thr', 0,
        '--save-predictions')
    with open(tmp_path / 'results_image.json') as file:
        content = json.load(file)
    check_poses(content['instance_info'])
    names = content['meta_info']['keypoint_id2name']
    assert names['0'] == 'nose' and names['16'] == 'right_ankle'
    assert osp.getsize(tmp_path / 'image.jpg')
