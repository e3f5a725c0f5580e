"""Every pose config: mmpose's recipe, builds, trains and predicts."""
import os.path as osp
from glob import glob

import numpy as np
import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import (
    DATASETS,
    METRICS,
    MODELS,
    init_default_scope,
)
from mmengine.structures import InstanceData, PixelData

mmpose = pytest.importorskip('mmpose')
from mmpose.registry import KEYPOINT_CODECS  # noqa: E402
from mmpose.structures import PoseDataSample  # noqa: E402

CONFIGS = sorted(
    osp.relpath(path, ROOT)
    for pattern in ('*heatmap*.py', '*readout_coco.py')
    for path in glob(f'configs/**/{pattern}', recursive=True)
    if 'mixing' not in path)
PAPER = [config for config in CONFIGS
         if 'mini' not in config and 'readout' not in config]
VITPOSE = osp.join(
    osp.dirname(mmpose.__file__), '.mim', 'configs', 'body_2d_keypoint',
    'topdown_heatmap', 'coco',
    'td-hm_ViTPose-base{}_8xb64-210e_coco-256x192.py')


def load(config):
    cfg = Config.fromfile(config)
    init_default_scope(cfg.default_scope)
    return cfg


def plain(node):
    """Take off the scopes that inheriting adds."""
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items()
                if key != '_scope_'}
    if isinstance(node, (list, tuple)):
        return [plain(value) for value in node]
    return node


def build(cfg):
    """The model at mini size."""
    cfg.merge_from_dict({
        'model.backbone.arch': 'mini', 'model.backbone.pretrained': None,
        'model.head.in_channels': 32})
    torch.manual_seed(0)
    return MODELS.build(cfg.model)


def batch(codec):
    """Two crops with a person each."""
    width, height = codec['input_size']
    encoder = KEYPOINT_CODECS.build(codec)
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(2):
        keypoints = rng.uniform(0, [width, height], (1, 17, 2))
        keypoints = keypoints.astype(np.float32)
        encoded = encoder.encode(keypoints, np.ones((1, 17), np.float32))
        box = np.array([[0, 0, width, height]], np.float32)
        sample = PoseDataSample(metainfo=dict(
            input_center=np.array([width / 2, height / 2]),
            input_scale=np.array([width, height]),
            input_size=(width, height), flip_indices=[
                0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]))
        sample.gt_instances = InstanceData(
            bboxes=box, bbox_scores=np.ones(1, np.float32),
            keypoints=keypoints)
        sample.gt_instance_labels = InstanceData(
            keypoint_weights=torch.from_numpy(encoded['keypoint_weights']))
        sample.gt_fields = PixelData(
            heatmaps=torch.from_numpy(encoded['heatmaps']))
        samples.append(sample)
    images = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8)
    return dict(inputs=list(images), data_samples=samples)


@pytest.mark.parametrize('config', CONFIGS)
def test_trains_one_step_and_predicts_at_mini_size(config, check_agreement):
    cfg = load(config)
    check_agreement(cfg)
    model = build(cfg)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    data = batch(cfg.codec)
    losses = model.train_step(data, wrapper)
    assert torch.isfinite(losses['loss'])
    model.eval()
    with torch.no_grad():
        results = model.test_step(data)
    for result in results:
        assert result.pred_instances.keypoints.shape == (1, 17, 2)
    # learning rates as the optimizer has them
    names = {id(param): name for name, param in model.named_parameters()}
    rates = {names[id(param)]: group['lr'] for group in
             wrapper.optimizer.param_groups for param in group['params']}
    full = cfg.optim_wrapper.optimizer.lr
    decay = cfg.optim_wrapper.paramwise_cfg.layer_decay_rate
    assert rates['head.final_layer.0.weight' if 'readout' in config else
                 'head.final_layer.weight'] == full
    # the readout's norm is a layer of the backbone
    norm = 'readout' in config
    for part, layers in (('up_blocks.3', 1), ('mid_block', 5),
                         ('down_blocks.0', 9)):
        assert rates[f'backbone.unet.{part}.resnets.0.conv1.weight'] == (
            pytest.approx(full * decay**(layers + norm)))


@pytest.mark.parametrize('config', CONFIGS)
def test_heatmaps_have_the_size_that_the_codec_says(config):
    cfg = load(config)
    model = build(cfg)
    width, height = cfg.codec.input_size
    with torch.no_grad():
        heatmaps = model(torch.zeros(1, 3, height, width), None)
    assert heatmaps.shape == (1, 17, *cfg.codec.heatmap_size[::-1])


@pytest.mark.parametrize('config', PAPER)
def test_the_recipe_is_that_of_vitpose(config):
    """Table 13's is unpublished; ViTPose-B's in mmpose is taken."""
    ours = load(config)
    stock = Config.fromfile(VITPOSE.format(
        '-simple' if 'simple' in config else ''))
    for key in ('codec', 'train_pipeline', 'val_pipeline', 'param_scheduler',
                'train_cfg', 'auto_scale_lr', 'model.test_cfg',
                'model.head.loss', 'model.head.decoder',
                'optim_wrapper.optimizer', 'optim_wrapper.clip_grad',
                'optim_wrapper.paramwise_cfg.layer_decay_rate',
                'train_dataloader.batch_size', 'test_evaluator',
                'test_dataloader.dataset.bbox_file'):
        value, expected = ours, stock
        for part in key.split('.'):
            value, expected = value[part], expected[part]
        assert plain(value) == plain(expected), key
    if 'simple' in config:
        # ours has half the stride
        assert stock.model.neck.scale_factor == 2 * (
            ours.model.neck.scale_factor)
        assert ours.model.head.final_layer == stock.model.head.final_layer


def test_15k_is_a_tenth_as_often():
    dataset = load('configs/genpercept_heatmap_coco-15k.py'
                   ).train_dataloader.dataset
    full = load('configs/genpercept_heatmap_coco.py'
                ).train_dataloader.dataset
    assert dataset.times * dataset.dataset.indices == 150_000
    inner = dict(dataset.dataset)
    del inner['indices']
    assert plain(inner) == plain({key: full[key] for key in inner})


@pytest.mark.parametrize('config', CONFIGS)
def test_runner_parts_build(config, tmp_path):
    from mmengine.registry import HOOKS, VISUALIZERS
    cfg = load(config)
    VISUALIZERS.build(dict(cfg.visualizer, vis_backends=None))
    for hook in (*cfg.default_hooks.values(), *cfg.custom_hooks):
        HOOKS.build(hook)
    (tmp_path / 'labels.json').write_text(
        '{"images": [], "annotations": [], "categories": []}')
    METRICS.build(dict(cfg.test_evaluator,
                       ann_file=str(tmp_path / 'labels.json')))
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        dataset = loader.dataset.get('dataset', loader.dataset)
        assert dataset.data_root.startswith('data/')
        # a FileNotFoundError where boxes are missing, mmpose's of labels
        with pytest.raises((FileNotFoundError, AssertionError),
                           match='data/nowhere|person_detection_results'):
            DATASETS.build(dict(dataset, data_root='data/nowhere'))
