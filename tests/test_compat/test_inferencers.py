"""mmseg's doors for single images: every config works unedited."""
import os.path as osp
import re
from glob import glob

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT, make_once, mostly
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.apis import (
    MMSegInferencer,
    inference_model,
    init_model,
    show_result_pyplot,
)
from weights import write_checkpoint

FLAT = sorted(
    osp.relpath(path, ROOT) for pattern in ('*.py', 'mini/*.py')
    for path in glob(osp.join(ROOT, 'configs', pattern))
    if 'heatmap' not in path and 'coco' not in path)
ABLATIONS = sorted(
    osp.relpath(path, ROOT) for path in glob(osp.join(
        ROOT, 'configs', 'ablations', 'table*', '*.py')))
IN_CHANNELS = [32, 64, 96, 96]


@pytest.fixture
def photo(tmp_path):
    rng = np.random.default_rng(0)
    path = str(tmp_path / 'photo.jpg')
    cv2.imwrite(path, rng.integers(0, 256, (40, 60, 3)).astype(np.uint8))
    return path


def at_mini_size(config):
    """The config with the small network, and small working sizes."""
    cfg = Config.fromfile(config)
    head = cfg.model.decode_head
    cfg.model.backbone.update(arch='mini', pretrained=None, lora_rank=min(
        cfg.model.backbone.get('lora_rank', 0), 4))
    if 'pretrained' in head or head.type.endswith('VAEDecodeHead'):
        head.update(arch='mini', pretrained=None)
    for part in (head, cfg.model.get('auxiliary_head') or {}):
        channels = part.get('in_channels')
        if isinstance(channels, list):
            part.in_channels = IN_CHANNELS
        elif channels is not None:
            part.in_channels = IN_CHANNELS[
                (320, 640, 1280).index(channels)] if channels in (
                    320, 640, 1280) else channels
        if 'norm_cfg' in part:
            part.norm_cfg = dict(type='BN')
        if 'channels' in part:
            part.channels = 16
    data = cfg.test_dataloader.dataset
    for step in (*cfg.test_pipeline, *data.get('pipeline', ())):
        if step.get('long_edge'):
            step.long_edge = 64
        if step['type'].endswith('Resize') and step.get('scale'):
            step.scale = (64, 64)
    return cfg


@pytest.mark.parametrize('config', [
    *mostly(FLAT), *(pytest.param(config, marks=pytest.mark.nightly)
                     for config in ABLATIONS)])
def test_mmseg_inferencer_takes_every_config(config, photo, tmp_path):
    cfg = at_mini_size(config)
    inferencer = MMSegInferencer(cfg, device='cpu')
    result = inferencer(photo, out_dir=str(tmp_path / 'out'))
    maps = result['predictions']
    assert maps.shape[:2] == (40, 60) and np.isfinite(maps).all()
    assert len(glob(str(tmp_path / 'out' / 'pred' / '*'))) == 1
    picture = cv2.imread(str(tmp_path / 'out' / 'vis' / 'photo.jpg'))
    assert picture is not None and picture.std() > 0


@pytest.mark.parametrize('config', [*FLAT, *ABLATIONS])
def test_every_test_pipeline_takes_an_image_alone(config, photo):
    """At the size of the weights' rule, and without a label."""
    cfg = Config.fromfile(config)
    with DefaultScope.overwrite_default_scope('mmseg'):
        packed = Compose(cfg.test_pipeline)(dict(img_path=photo))
    height, width = packed['inputs'].shape[1:]
    # one of the two edges; the photograph has 60 x 40 pixels
    assert {height, width} & {128, 512, 768, 1024}
    assert not any(key.startswith('gt_')
                   for key in packed['data_samples'].keys())


@pytest.fixture(scope='session')
def checkpoints(tmp_path_factory):
    configs = [config for config in FLAT if 'mini-hypersim' in config]

    def write(folder):
        for config in configs:
            write_checkpoint(f'{folder}/{osp.basename(config)}.pth', config)

    folder = make_once(tmp_path_factory, 'doors', write)
    return {config: f'{folder}/{osp.basename(config)}.pth'
            for config in configs}


@pytest.mark.parametrize('name', [
    'upernet_mini-hypersim', 'vae_mini-hypersim-depth',
    'vae_mini-hypersim-normal', 'vae_mini-hypersim-seg',
    'dpt_mini-hypersim-disparity'])
def test_functions_for_single_images(checkpoints, photo, tmp_path, name):
    config = f'configs/mini/genpercept_{name}.py'
    model = init_model(config, checkpoints[config], device='cpu')
    one = inference_model(model, photo)
    _, other = inference_model(model, [photo, photo])
    array = inference_model(model, cv2.imread(photo))
    field, = (key for key in one.keys() if re.fullmatch(
        'pred_(sem_seg|.*_map)', key))
    assert torch.equal(one.get(field).data, array.get(field).data)
    # a batch of another size sums in another order
    differ = (one.get(field).data - other.get(field).data).abs() > 1e-4
    assert differ.float().mean() < .01
    path = tmp_path / 'shown.png'
    shown = show_result_pyplot(
        model, photo, one, show=False, out_file=str(path))
    assert shown.std() > 0 and path.is_file()


def test_a_sample_of_a_data_set_still_needs_its_label(photo):
    """Only an image alone passes the loaders of labels."""
    from genpercept_mm.datasets.transforms import LoadAlpha
    alone = dict(img_path=photo)
    assert LoadAlpha()(alone) == alone
    with pytest.raises(ValueError, match=r"lacks \['alpha_path'\]"):
        LoadAlpha()(dict(alone, seg_fields=[]))


def test_pipelines_of_users_that_load_labels_serve_single_images(
        photo, checkpoints):
    """As the configs of this package had them before."""
    config = 'configs/mini/genpercept_vae_mini-hypersim-depth.py'
    cfg = Config.fromfile(config)
    cfg.test_pipeline = [
        step for step in cfg.test_pipeline
        if not step['type'].endswith('Resize')]
    model = init_model(cfg, checkpoints[config], device='cpu')
    assert inference_model(model, photo).pred_depth_map.data.shape == (
        1, 40, 60)


def test_stock_models_keep_their_own_pipeline(photo):
    cfg = Config(dict(
        default_scope='mmseg', model=dict(
            type='EncoderDecoder', data_preprocessor=dict(
                type='SegDataPreProcessor'),
            backbone=dict(type='ResNetV1c', depth=18, num_stages=4,
                          out_indices=(0, 1, 2, 3), norm_cfg=dict(type='BN')),
            decode_head=dict(
                type='FCNHead', in_channels=512, in_index=3, channels=8,
                num_classes=19, norm_cfg=dict(type='BN')),
            test_cfg=dict(mode='whole')),
        visualizer=dict(type='SegLocalVisualizer', name='v'),
        test_pipeline=[dict(type='None')],
        test_dataloader=dict(dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
            dict(type='PackSegInputs')]))))
    inferencer = MMSegInferencer(cfg, device='cpu')
    assert [type(step).__name__ for step in
            inferencer.pipeline.transforms] == [
                'InferencerLoader', 'PackSegInputs']
    assert inferencer(photo)['predictions'].shape == (40, 60)
