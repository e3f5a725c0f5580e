"""mmseg's functions for single images, with quantities other than classes."""
import os.path as osp
import re
from functools import wraps

import numpy as np


def take_test_pipeline(module):
    """Let ``MMSegInferencer`` of mmseg's module serve our configs.

    It reads the pipeline of the test data set, and needs a
    ``LoadImageFromFile`` in it, which fails with several data sets and with
    loaders of their own: for such configs, ``cfg.test_pipeline`` is taken.
    Quantities other than classes are returned as (H, W) or (H, W, K) arrays
    and written as NPY files, as mmseg does with depth.
    """
    inferencer = module.MMSegInferencer
    stock_pipeline = inferencer._init_pipeline
    stock_postprocess = inferencer.postprocess

    @wraps(stock_pipeline)
    def _init_pipeline(self, cfg):
        data = (cfg.get('test_dataloader') or {}).get('dataset') or {}
        steps = [step['type'] for step in data.get('pipeline') or ()]
        if 'LoadImageFromFile' not in steps and 'test_pipeline' in cfg:
            # images alone do not need the loaders of a data set
            steps = [dict(type='LoadImageFromFile') if re.search(
                r'\.Load\w*Image$', step['type']) else step
                for step in cfg.test_pipeline]
            cfg = type(cfg)(dict(test_dataloader=dict(dataset=dict(
                pipeline=steps))))
        return stock_pipeline(self, cfg)

    @wraps(stock_postprocess)
    def postprocess(self, preds, visualization, return_datasample=False,
                    pred_out_dir=''):
        fields = [quantity_field(pred) for pred in preds]
        if return_datasample or not all(fields):
            return stock_postprocess(self, preds, visualization,
                                     return_datasample, pred_out_dir)
        from genpercept_mm.utils.arrays import channels_last
        maps = [channels_last(pred.get(field))
                for pred, field in zip(preds, fields)]
        for values in maps if pred_out_dir else ():
            path = osp.join(pred_out_dir, f'{self.num_pred_imgs:08}_pred.npy')
            _write_npy(path, values)
            self.num_pred_imgs += 1
        pictures = list(visualization or ())
        if len(maps) == 1:
            maps, pictures = maps[0], pictures[0] if pictures else pictures
        return dict(predictions=maps, visualization=pictures)

    inferencer._init_pipeline = _init_pipeline
    inferencer.postprocess = postprocess


def draw_quantities(module):
    """Let ``show_result_pyplot`` of mmseg's module draw any quantity."""

    def visualizer(**kwargs):
        from genpercept_mm.registry import VISUALIZERS
        return VISUALIZERS.get('genpercept_mm.DenseLocalVisualizer')(**kwargs)

    module.SegLocalVisualizer = visualizer


def quantity_field(sample):
    """Return the field of a predicted quantity other than classes, or None."""
    if 'pred_sem_seg' in sample:
        return None
    return next((field for field in sample.keys()
                 if field.startswith('pred_') and field.endswith('_map')),
                None)


def _write_npy(path, values):
    from genpercept_mm.utils.files import write_whole

    def write(part):
        with open(part, 'wb') as file:
            np.save(file, values)

    write_whole(path, write)
