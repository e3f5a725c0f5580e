"""Every config: named by the grammar, builds, trains and predicts."""
import os.path as osp
import re
from glob import glob

import numpy as np
import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import DATASETS, OPTIMIZERS, init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import genpercept_mm  # noqa: F401

CONFIGS = sorted(
    osp.relpath(path, ROOT)
    for path in glob(osp.join(ROOT, 'configs', '*.py')) + glob(
        osp.join(ROOT, 'configs', 'mini', '*.py')))
MINI_MODEL = dict(
    backbone=dict(arch='mini', pretrained=None),
    decode_head=dict(in_channels=[32, 64, 96, 128], channels=16),
    auxiliary_head=dict(in_channels=96, channels=16))


def load(config):
    cfg = Config.fromfile(osp.join(ROOT, config))
    init_default_scope(cfg.default_scope)
    return cfg


def test_there_are_configs():
    assert len(CONFIGS) >= 6


@pytest.mark.parametrize('config', CONFIGS)
def test_name_follows_the_grammar(config):
    name = osp.basename(config)
    assert re.fullmatch(
        r'genpercept_(upernet|vae|dpt|heatmap)_[a-z0-9-]+(_[a-z0-9-]+)?\.py',
        name)
    with open(osp.join(ROOT, config)) as file:
        assert len(file.read().split('\n')) <= 60


@pytest.mark.parametrize('config', CONFIGS)
def test_trains_one_step_and_predicts_at_mini_size(config):
    cfg = load(config)
    cfg.merge_from_dict(dict(model=MINI_MODEL))
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    optimizer = OPTIMIZERS.build(dict(
        cfg.optim_wrapper.optimizer, params=[
            p for p in model.parameters() if p.requires_grad]))
    classes = model.decode_head.num_classes
    size = (41, 67)

    def batch():
        samples = []
        for seed in range(2):
            sample = SegDataSample(metainfo=dict(
                ori_shape=size, img_shape=size))
            sample.gt_sem_seg = PixelData(data=torch.from_numpy(
                np.random.default_rng(seed).integers(0, classes, (1, *size))))
            samples.append(sample)
        return dict(
            inputs=[torch.randint(0, 256, (3, *size), dtype=torch.uint8)
                    for _ in samples], data_samples=samples)

    data = model.data_preprocessor(batch(), training=True)
    losses = model(**data, mode='loss')
    total, _ = model.parse_losses(losses)
    assert torch.isfinite(total)
    total.backward()
    frozen = cfg.model.backbone.get('freeze_unet', False)
    grads = {n: p.grad for n, p in model.backbone.unet.named_parameters()}
    assert all((grad is None) == frozen for grad in grads.values())
    before = model.decode_head.conv_seg.weight.clone()
    optimizer.step()
    assert not torch.equal(model.decode_head.conv_seg.weight, before)
    model.eval()
    with torch.no_grad():
        results = model.test_step(batch())
    assert [r.pred_sem_seg.data.shape for r in results] == [(1, *size)] * 2
    assert results[0].seg_logits.data.shape == (classes, *size)


@pytest.mark.parametrize('config', CONFIGS)
def test_channels_of_the_heads_are_those_of_the_backbone(config):
    from genpercept_mm.models.utils.sd_archs import ARCHS
    model = load(config).model
    channels = ARCHS[model.backbone.arch]['unet']['block_out_channels']
    assert tuple(model.decode_head.in_channels) == channels
    assert model.auxiliary_head.in_channels == channels[
        model.auxiliary_head.in_index]


@pytest.mark.parametrize('config', CONFIGS)
def test_runner_parts_build(config):
    """Hooks, schedulers, evaluators and loops, without data."""
    from mmengine.registry import HOOKS, PARAM_SCHEDULERS, VISUALIZERS
    from mmengine.registry import METRICS as ROOT_METRICS
    cfg = load(config)
    VISUALIZERS.build(dict(cfg.visualizer, vis_backends=None))
    for hook in cfg.default_hooks.values():
        HOOKS.build(hook)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = OPTIMIZERS.build(dict(cfg.optim_wrapper.optimizer,
                                      params=[parameter]))
    for scheduler in cfg.param_scheduler:
        PARAM_SCHEDULERS.build(dict(scheduler, optimizer=optimizer))
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        ROOT_METRICS.build(evaluator)


def test_paper_schedule_takes_the_published_learning_rates():
    """REFERENCE 3.1 in optimizer steps, but for the first, which is 0 in
    the official code; one micro batch is 1/8 of a step."""
    from mmengine.registry import PARAM_SCHEDULERS
    cfg = load('configs/genpercept_upernet_hypersim.py')
    accumulated = cfg.optim_wrapper.accumulative_counts
    assert cfg.train_cfg.max_iters == 30000 * accumulated
    assert cfg.train_dataloader.batch_size * accumulated == 32
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], 3e-5)
    schedulers = [PARAM_SCHEDULERS.build(dict(s, optimizer=optimizer))
                  for s in cfg.param_scheduler]
    expected = {50: 1.5e-5, 100: 3e-5, 1000: 2.540e-5, 5000: 1.212e-5,
                10000: 4.808e-6, 12550: 3e-6, 20000: 7.564e-7, 25000: 3e-7,
                29000: 3e-7}
    seen = {}
    for step in range(29001 * accumulated):
        if step % accumulated == 0:
            seen[step // accumulated] = optimizer.param_groups[0]['lr']
        for scheduler in schedulers:
            scheduler.step()
    for step, rate in expected.items():
        # warm-up ends one micro batch earlier or later
        assert seen[step] == pytest.approx(rate, rel=0.02 if step < 100
                                           else 2e-3)
    assert 0 < seen[0] < 1e-6


def test_zero_shot_classes_are_those_of_the_mapping():
    from genpercept_mm.datasets.ade20k_nyu40 import ADE20K_TO_NYU40
    cfg = load('configs/genpercept_upernet_hypersim_zeroshot-ade20k.py')
    assert cfg.test_evaluator.class_indices == sorted(
        target - 1 for target in ADE20K_TO_NYU40.values())


def test_data_sets_are_found_at_their_documented_places():
    """A missing folder names itself, for each config's data."""
    for config in CONFIGS:
        cfg = load(config)
        cfg.train_dataloader.dataset.data_root = 'data/nowhere'
        with pytest.raises(FileNotFoundError, match='data/nowhere'):
            DATASETS.build(cfg.train_dataloader.dataset)
