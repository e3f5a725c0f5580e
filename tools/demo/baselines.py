"""Scores of the best predictions that ignore the picture."""
import json
import os.path as osp
from collections import namedtuple

import torch
from mmengine.registry import DATASETS, METRICS, init_default_scope
from mmengine.structures import PixelData

from genpercept_mm.registry import CODECS
from genpercept_mm.utils.arrays import to_numpy

from .mean_pose import mean_pose_ap
from .tasks import TASKS

#: The value of the metric, and in words the prediction and the frames on which
#: it is scored.
Guess = namedtuple('Guess', 'value prediction frames')


def best_guess(name, cfg):
    """Score the best prediction that ignores the picture.

    Args:
        name (str): A key of ``TASKS``.
        cfg (Config): The config of the task.

    Returns:
        Guess: A constant map, or the mean pose.
    """
    init_default_scope(cfg.default_scope)
    if name == 'pose':
        return pose_baseline(cfg)
    return dense_baseline(cfg, TASKS[name])


def dense_baseline(cfg, task):
    """Score the best constant map; see `constant_map`.

    Args:
        cfg (Config): The config of the task.
        task (Task): One of ``TASKS``.

    Returns:
        Guess: The best of the constants that the codec names.
    """
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    value, constant = constant_map(cfg, task, dataset)
    return Guess(value, f'{constant} everywhere', f'{len(dataset)} frames')


def constant_map(cfg, task, dataset):
    """Score constant predictions with the metric of the config.

    Args:
        cfg (Config): The config of the task.
        task (Task): One of ``TASKS``.
        dataset (BaseDataset): Test frames.

    Returns:
        tuple[float, str]: The best value of the metric, and its constant.
    """
    # heads of mmseg have no codec; they predict classes
    codec = CODECS.build(cfg.model.decode_head.get(
        'codec', dict(type='ColormapCodec')))
    samples = [dataset[i]['data_samples'] for i in range(len(dataset))]
    labels = [to_numpy(sample.get(codec.gt_field)) for sample in samples]
    scores = []
    for constant in codec.best_constants([
            label[0] if len(label) == 1 else label.transpose(1, 2, 0)
            for label in labels]):
        evaluator = METRICS.build(cfg.test_evaluator)
        evaluator.dataset_meta = dataset.metainfo
        for sample in samples:
            size = sample.ori_shape[:2]
            maps = torch.as_tensor(constant).view(-1, 1, 1).expand(-1, *size)
            sample.set_data({codec.pred_field: PixelData(data=maps.clone())})
            evaluator.process(None, [sample.to_dict()])
        scores.append((evaluator.evaluate(len(samples))[task.key],
                       constant.round(3).tolist()))
    value, constant = (max if task.higher_is_better else min)(scores)
    if 'classes' in dataset.metainfo and isinstance(constant[0], int):
        constant = repr(dataset.metainfo['classes'][constant[0]])
    return value, str(constant)


def pose_baseline(cfg):
    """Score the mean pose of the training set in every box.

    Args:
        cfg (Config): The config of the task.

    Returns:
        Guess: The result of `mean_pose_results`.
    """
    data = cfg.train_dataloader.dataset
    labels = cfg.test_evaluator.ann_file
    value = mean_pose_ap(osp.join(data.data_root, data.ann_file), labels)
    with open(labels) as file:
        people = sum(not label['iscrowd']
                     for label in json.load(file)['annotations'])
    return Guess(value, 'the mean pose in every box', f'{people} persons')
