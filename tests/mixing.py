"""Tiny data in the hosts' layouts, and what makes `configs/mixing` small.

As a script, ``python tests/mixing.py DATA OUT CONFIG...`` trains every config
for two iterations, evaluates it and saves what came out, all in one process.
"""
import importlib.util
import json
import os
import os.path as osp
import sys
from glob import glob

import cv2
import numpy as np

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
CONFIGS = sorted(
    osp.relpath(path, ROOT)
    for path in glob(osp.join(ROOT, 'configs', 'mixing', '*.py')))
WIDTH, HEIGHT = 96, 64
# channels of Stable Diffusion 2.1 -> of the mini architecture
CHANNELS = {320: 32, 640: 64, 1280: 96}
# what stands for the size of a picture in the hosts' pipelines
SIZES = dict(
    scale=(WIDTH, HEIGHT), scales=[HEIGHT], crop_size=(HEIGHT, HEIGHT),
    ratio_range=(1.0, 1.0), size=(HEIGHT, HEIGHT))
# two iterations from random weights give low scores, and time is short
HEADS = dict(score_thr=0.0, num_layers=2, num_points=64, max_per_img=5)
LOADER = dict(num_workers=0, persistent_workers=False)
# where a module is missing, what the hosts take of it
STAND_INS = {
    'panopticapi/__init__.py': '',
    'panopticapi/utils.py': '''
def rgb2id(color):
    color = color.astype('int64')
    return color[..., 0] + 256 * color[..., 1] + 65536 * color[..., 2]
''',
    'torchvision/__init__.py': "__version__ = 'stand-in'",
    'torchvision/transforms.py': 'ToPILImage = None'}


def host_of(config):
    """'mmseg' of 'configs/mixing/mmseg_fcn_cityscapes.py'."""
    return osp.basename(config).split('_')[0]


# -- data ---------------------------------------------------------------------


def draw(seed):
    """Draw two rectangles, (x, y, w, h), on noise: picture, boxes, ids."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 60, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    boxes = []
    for index, left in enumerate((4, 50)):
        x, y = left + rng.integers(6), 4 + rng.integers(6)
        w, h = 28 + rng.integers(6), 40 + rng.integers(6)
        picture[y:y + h, x:x + w] = (200, 80 * index, 40)
        ids[y:y + h, x:x + w] = index + 1
        boxes.append([int(v) for v in (x, y, w, h)])
    return picture, boxes, ids


def save(path, image):
    os.makedirs(osp.dirname(path), exist_ok=True)
    assert cv2.imwrite(path, image)


def write_cityscapes(root):
    for split, count in (('train', 4), ('val', 2)):
        for index in range(count):
            picture, _, ids = draw(index)
            name = f'{split}/town/town_{index:06d}_000019'
            save(f'{root}/leftImg8bit/{name}_leftImg8bit.png', picture)
            save(f'{root}/gtFine/{name}_gtFine_labelTrainIds.png', ids)


def write_ade20k(root):
    for split, count in (('training', 4), ('validation', 2)):
        for index in range(count):
            picture, _, ids = draw(index)
            save(f'{root}/images/{split}/{index}.jpg', picture)
            save(f'{root}/annotations/{split}/{index}.png', ids)


def write_coco(root):
    """Instances, keypoints and, where mmdet is, panoptic segments."""
    names = dict(person=1, cat=1, wall=0)
    if importlib.util.find_spec('mmdet'):
        from mmdet.datasets import CocoPanopticDataset
        meta = CocoPanopticDataset.METAINFO
        names = {name: int(name in meta['thing_classes'])
                 for name in meta['classes']}
    categories = [dict(id=index + 1, name=name, isthing=isthing)
                  for index, (name, isthing) in enumerate(names.items())]
    things = [c for c in categories if c['isthing']]
    number = dict(zip(names, range(1, len(names) + 1)))
    wall = number.get('wall-other-merged', len(names))
    kinds = (1, number['cat'])
    keypoints = [f'point{index}' for index in range(17)]
    person = dict(categories[0], keypoints=keypoints, skeleton=[])
    for split, count in (('train', 4), ('val', 2)):
        images, instances, people, panoptic = [], [], [], []
        for image_id in range(1, count + 1):
            picture, boxes, ids = draw(image_id)
            name = f'{image_id:012d}'
            save(f'{root}/{split}2017/{name}.jpg', picture)
            save(f'{root}/annotations/panoptic_{split}2017/{name}.png',
                 # BGR: ids below 256 are the red channel
                 np.stack([ids * 0, ids * 0, np.where(ids, ids, 3)], -1))
            images.append(dict(id=image_id, file_name=f'{name}.jpg',
                               width=WIDTH, height=HEIGHT))
            segments = [dict(
                id=3, category_id=wall, iscrowd=0, area=int((ids == 0).sum()),
                bbox=[0, 0, WIDTH, HEIGHT])]
            for kind, (x, y, w, h) in zip(kinds, boxes):
                instance = dict(
                    id=len(instances) + 1, image_id=image_id,
                    category_id=kind, iscrowd=0, area=w * h,
                    bbox=[x, y, w, h], segmentation=[
                        [x, y, x + w, y, x + w, y + h, x, y + h]])
                instances.append(instance)
                segments.append(dict(
                    id=len(segments), category_id=kind, iscrowd=0,
                    area=w * h, bbox=[x, y, w, h]))
                if kind == 1:
                    points = [(x + w * (i % 4 + 1) / 6, y + h * i / 18, 2)
                              for i in range(1, 18)]
                    people.append(dict(
                        instance, num_keypoints=17,
                        keypoints=[float(v) for p in points for v in p]))
            panoptic.append(dict(
                image_id=image_id, file_name=f'{name}.png',
                segments_info=segments))
        for kind, annotations, classes in (
                ('instances', instances, things),
                ('person_keypoints', people, [person]),
                ('panoptic', panoptic, categories)):
            path = f'{root}/annotations/{kind}_{split}2017.json'
            with open(path, 'w') as file:
                json.dump(dict(info={}, licenses=[], images=images,
                               annotations=annotations, categories=classes),
                          file)


def write_all(root):
    """Write every data set, and the stand-ins into root/<module>.

    Returns:
        str: ``root``.
    """
    write_cityscapes(f'{root}/cityscapes')
    write_ade20k(f'{root}/ade/ADEChallengeData2016')
    write_coco(f'{root}/coco')
    for path, text in STAND_INS.items():
        module = path.split('/')[0]
        os.makedirs(f'{root}/modules/{module}/{module}', exist_ok=True)
        if importlib.util.find_spec(module) is None:
            with open(f'{root}/modules/{module}/{path}', 'w') as file:
                file.write(text)
    return root


# -- options ------------------------------------------------------------------


def walk(node, path=''):
    """Every (dotted path, key, value) of a config."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        here = f'{path}.{key}' if path else str(key)
        yield here, key, value
        if isinstance(value, (dict, list)):
            yield from walk(value, here)


def model_options(model):
    """A small backbone, and the channels that belong to it."""
    options = {'model.backbone.arch': 'mini',
               'model.backbone.pretrained': None}
    for path, key, value in walk(model, 'model'):
        if str(key).endswith('in_channels'):
            if isinstance(value, int) and value in CHANNELS:
                options[path] = CHANNELS[value]
            elif isinstance(value, (list, tuple)):
                options[path] = [CHANNELS[v] for v in value]
        elif key == 'size':
            options[path] = (HEIGHT, WIDTH) if 'augments' in path else (
                HEIGHT, HEIGHT)
        elif key in HEADS:
            options[path] = HEADS[key]
    return options


def options_of(cfg, root):
    """Options that run a mixing config on tiny data in seconds."""
    options = model_options(cfg.model)
    options['randomness.seed'] = 0
    options['default_hooks.logger.interval'] = 1
    # a stock head's checkpoint takes longer than its training here
    options['default_hooks.checkpoint'] = None
    for split in ('train', 'val', 'test'):
        loader = f'{split}_dataloader'
        options[f'{loader}.batch_size'] = 2 if split == 'train' else 1
        for key, value in LOADER.items():
            options[f'{loader}.{key}'] = value
        for path, key, _ in walk(cfg[loader], loader):
            if key in SIZES:
                options[path] = SIZES[key]
            elif key == 'bbox_file':
                options[path] = None
    for part in ('train_dataloader', 'val_dataloader', 'test_dataloader',
                 'val_evaluator', 'test_evaluator'):
        for path, _, value in walk(cfg[part], part):
            if isinstance(value, str) and value.startswith('data/'):
                options.setdefault(path, value.replace('data', root, 1))
    length = 'max_iters' if 'max_iters' in cfg.train_cfg else 'max_epochs'
    options[f'train_cfg.{length}'] = 2 if length == 'max_iters' else 1
    options['train_cfg.val_interval'] = options[f'train_cfg.{length}']
    if 'dynamic_intervals' in cfg.train_cfg:
        options['train_cfg.dynamic_intervals'] = None
    return options


def as_arguments(options):
    """The options as a tool takes them."""
    return ['--cfg-options', *[
        f'{key}={value}'.replace(' ', '') for key, value in options.items()]]


def without_panoptic_metric(evaluator):
    """What mmdet's base evaluates beside panoptic quality."""
    return [dict(metric) for metric in evaluator
            if metric['type'] != 'CocoPanopticMetric']


# -- script -------------------------------------------------------------------


def predictions_of(sample):
    """Every number that a data sample predicts, as tensors by name."""
    import torch
    return {
        f'{field}.{key}': torch.as_tensor(value)
        for field, data in sample.items() if field.startswith('pred')
        for key, value in data.items() if hasattr(value, 'shape')}


def main(root, out, *configs):
    """Train each config and save its losses, parameters, predictions."""
    import torch
    from mmengine.config import Config
    from mmengine.runner import Runner

    import genpercept_mm  # noqa: F401, before the host's models

    for config in configs:
        cfg = Config.fromfile(config)
        cfg.merge_from_dict(options_of(cfg, root))
        if 'panoptic' in config:
            cfg.val_evaluator = without_panoptic_metric(cfg.val_evaluator)
            cfg.test_evaluator = cfg.val_evaluator
        name = osp.basename(config)[:-3]
        cfg.work_dir = osp.join(out, name)
        runner = Runner.from_cfg(cfg)
        waiting = {key for key, value
                   in runner.model.backbone.named_parameters()
                   if value.requires_grad}
        for key, value in runner.model.backbone.named_parameters():
            if value.requires_grad:
                value.register_post_accumulate_grad_hook(
                    lambda _, key=key: waiting.discard(key))
        runner.train()
        with torch.no_grad():
            samples = [sample for batch in runner.val_dataloader
                       for sample in runner.model.test_step(batch)]
        scalars = runner.message_hub.log_scalars
        torch.save(dict(
            iterations=runner.iter,
            losses={key: torch.from_numpy(value.data[0])
                    for key, value in scalars.items()
                    if key.startswith('train/') and 'loss' in key},
            metrics={key: float(value.current())
                     for key, value in scalars.items()
                     if key.startswith('val/') and 'time' not in key},
            without_gradient=sorted(waiting),
            parameters=runner.model.state_dict(),
            predictions=[predictions_of(sample) for sample in samples],
        ), osp.join(out, f'{name}.pth'))


if __name__ == '__main__':
    main(*sys.argv[1:])
