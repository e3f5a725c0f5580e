"""Scores of the best predictions that ignore the picture."""
import json
import os.path as osp
from collections import namedtuple

import numpy as np
import torch
from mmengine.registry import DATASETS, METRICS, init_default_scope
from mmengine.structures import PixelData

from genpercept_mm.registry import CODECS

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


def constants(quantity, samples):
    """List the constant maps that could score best.

    Args:
        quantity (str): What is predicted.
        samples (list[SegDataSample]): All labels.

    Returns:
        list[np.ndarray]: The values of a pixel, (K,) each.
    """
    if quantity in ('depth', 'disparity'):
        # alignment turns any constant into the least-squares one of each
        # image; the metric knows no other
        return [np.array([.5])]
    if quantity == 'normal':
        total = sum(sample.gt_normal_map.data.sum((1, 2))
                    for sample in samples).numpy()
        return [total / np.linalg.norm(total)]
    if quantity == 'alpha':
        values = np.concatenate(
            [sample.gt_alpha_map.data.flatten() for sample in samples])
        return [np.array([value]) for value in (
            0., 1., values.mean(), np.median(values))]
    labels = np.concatenate(
        [sample.gt_sem_seg.data.flatten() for sample in samples])
    return [np.array([np.bincount(labels[labels < 255]).argmax()])]


def baseline(cfg, task, quantity, field, dataset):
    """Score the best constant prediction with the metric of the config.

    Args:
        cfg (Config): The config of the task.
        task (Task): One of ``TASKS``.
        quantity (str): What is predicted.
        field (str): Field of the predictions.
        dataset (BaseDataset): Test frames.

    Returns:
        tuple[float, str]: The value of the metric, and the constant.
    """
    samples = [dataset[i]['data_samples'] for i in range(len(dataset))]
    scores = []
    for constant in constants(quantity, samples):
        evaluator = METRICS.build(cfg.test_evaluator)
        evaluator.dataset_meta = dataset.metainfo
        for sample in samples:
            size = sample.ori_shape[:2]
            maps = torch.as_tensor(constant).view(-1, 1, 1).expand(-1, *size)
            sample.set_data({field: PixelData(data=maps.clone())})
            evaluator.process(None, [sample.to_dict()])
        scores.append((evaluator.evaluate(len(samples))[task.key],
                       constant.round(3).tolist()))
    value, constant = (max if task.higher_is_better else min)(scores)
    if quantity == 'sem_seg':
        return value, f'{dataset.metainfo["classes"][constant[0]]!r}'
    return value, str(constant)


def dense_baseline(cfg, task):
    """Score the best constant map; see `baseline`.

    Args:
        cfg (Config): The config of the task.
        task (Task): One of ``TASKS``.

    Returns:
        Guess: The constant map.
    """
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    codec = cfg.model.decode_head.get('codec')
    codec = CODECS.build(codec) if codec else None
    value, constant = baseline(
        cfg, task, codec.quantity if codec else 'sem_seg',
        codec.pred_field if codec else 'pred_sem_seg', dataset)
    return Guess(value, f'{constant} everywhere', f'{len(dataset)} frames')


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
