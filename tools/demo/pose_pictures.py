"""Pictures of labelled and predicted skeletons side by side."""
import json
import os
import os.path as osp

import mmcv
import numpy as np
from mmengine.structures import InstanceData


def draw_test_poses(cfg, work_dir):
    """Draw the labels and the predictions of a test run.

    Args:
        cfg (Config): The config of the task.
        work_dir (str): Work folder with ``predictions``; ``pictures`` are
            written to it.
    """
    data = cfg.test_dataloader.dataset
    draw_poses(cfg.test_evaluator.ann_file,
               osp.join(work_dir, 'predictions', 'results.keypoints.json'),
               osp.join(data.data_root, data.data_prefix.img),
               osp.join(work_dir, 'pictures'))


def draw_poses(annotations, results, img_dir, out_dir, keypoint_thr=0.3):
    """Draw labels (left) and predictions (right) of every image of a COCO set.

    Needs mmpose, whose visualizer draws.

    Args:
        annotations (str): ``person_keypoints_*.json``.
        results (str): JSON of keypoint results, as written by ``CocoMetric``
            with ``outfile_prefix``.
        img_dir (str): Folder of the images.
        out_dir (str): Folder to write ``<image name>.png`` to.
        keypoint_thr (float): Predicted keypoints with a lower score are not
            drawn.
            Defaults to 0.3.

    Returns:
        list[str]: The files written.
    """
    from mmpose.structures import PoseDataSample
    from mmpose.visualization import PoseLocalVisualizer
    with open(annotations) as file:
        labels = json.load(file)
    with open(results) as file:
        predictions = json.load(file)
    names = labels['categories'][0]['keypoints']
    visualizer = PoseLocalVisualizer(radius=2, line_width=2)
    visualizer.set_dataset_meta(_coco_meta(names))
    os.makedirs(out_dir, exist_ok=True)
    files = []
    for image in labels['images']:
        pixels = mmcv.imread(osp.join(img_dir, image['file_name']),
                             channel_order='rgb')
        sample = PoseDataSample()
        for field, poses in (('gt_instances', labels['annotations']),
                             ('pred_instances', predictions)):
            keypoints = np.array(
                [pose['keypoints'] for pose in poses
                 if pose['image_id'] == image['id']],
                np.float32).reshape(-1, len(names), 3)
            scores = keypoints[..., 2]
            if field == 'gt_instances':  # 0 means not labelled
                scores = np.where(scores > 0, 1, -1)
            setattr(sample, field, InstanceData(
                keypoints=keypoints[..., :2], keypoint_scores=scores,
                keypoints_visible=scores))
        files.append(osp.join(
            out_dir, osp.splitext(osp.basename(image['file_name']))[0]
            + '.png'))
        visualizer.add_datasample(
            'pose', pixels, sample, draw_bbox=False, kpt_thr=keypoint_thr,
            out_file=files[-1])
    return files


def _coco_meta(names):
    """Return mmpose's colours and limbs for COCO's 17 keypoints."""
    from mmpose.datasets.datasets.utils import parse_pose_metainfo
    meta = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/'
                                              'coco.py'))
    expected = [meta['keypoint_id2name'][i] for i in range(17)]
    if names != expected:
        raise ValueError(
            f'draw_poses: the category has keypoints {names}, and only '
            f"COCO's 17 can be drawn: {expected}.")
    return meta
