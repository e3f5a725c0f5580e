"""Every config: named by the grammar, builds, trains and predicts."""
import os.path as osp
import re
from glob import glob

import mmengine.optim  # noqa: F401, registers the schedulers
import numpy as np
import pytest
import torch
from conftest import ROOT, mostly
from mmengine.config import Config
from mmengine.registry import DATASETS, OPTIMIZERS, init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import genpercept_mm  # noqa: F401

ALL = sorted(
    osp.relpath(path, ROOT)
    for path in glob(osp.join(ROOT, 'configs', '*.py')) + glob(
        osp.join(ROOT, 'configs', 'mini', '*.py')))
# those of pose: test_pose_configs.py
CONFIGS = [config for config in ALL
           if 'heatmap' not in config and 'coco' not in config]
MINI_HEADS = dict(
    EncoderDecoder=dict(
        decode_head=dict(in_channels=[32, 64, 96, 96], channels=32),
        auxiliary_head=dict(in_channels=96, channels=32)),
    ReadoutSegHead=dict(decode_head=dict(in_channels=32, channels=32)),
    ReadoutHead=dict(decode_head=dict(in_channels=32)),
    VAEDecodeHead=dict(decode_head=dict(arch='mini', pretrained=None)),
    DPTDecodeHead=dict(
        decode_head=dict(in_channels=[32, 64, 96, 96], channels=16)))
# mmseg's segmentor
CLASSES = [config for config in CONFIGS
           if 'upernet' in config or config.endswith('hypersim.py')]
DENSE = [config for config in CONFIGS if config not in CLASSES]
UPERNET = [config for config in CLASSES if 'upernet' in config]


def mini_model(model):
    """The same model at mini size."""
    kind = model.type
    if '.' in model.decode_head.type:
        kind = model.decode_head.type.split('.')[1]
    return dict(MINI_HEADS[kind],
                backbone=dict(arch='mini', pretrained=None))


def load(config):
    cfg = Config.fromfile(osp.join(ROOT, config))
    init_default_scope(cfg.default_scope)
    return cfg


def test_there_are_configs():
    assert len(UPERNET) >= 6 and len(DENSE) >= 16


@pytest.mark.parametrize('config', ALL)
def test_name_follows_the_grammar(config):
    name = osp.basename(config)
    assert re.fullmatch(
        r'genpercept_(upernet|vae|dpt|readout|heatmap)_[a-z0-9-]+(_[a-z0-9-]+)?\.py',
        name)
    with open(osp.join(ROOT, config)) as file:
        assert len(file.read().split('\n')) <= 60


def label_of(model, size, seed):
    """A sample with a random label of the model's task."""
    sample = SegDataSample(metainfo=dict(ori_shape=size, img_shape=size))
    rng = np.random.default_rng(seed)
    codec = getattr(model, 'codec', None)
    if codec is None:
        sample.gt_sem_seg = PixelData(data=torch.from_numpy(rng.integers(
            0, model.decode_head.num_classes, (1, *size))))
        return sample
    label = dict(
        depth=lambda: rng.uniform(1, 9, size),
        normal=lambda: rng.normal(size=(*size, 3)),
        alpha=lambda: rng.uniform(size=size),
        seg=lambda: rng.integers(0, 40, size))[codec.label]()
    target, mask = codec.encode(label)
    sample.set_data(dict(
        gt_target=PixelData(data=torch.from_numpy(
            target.transpose(2, 0, 1).copy())),
        gt_target_mask=PixelData(data=torch.from_numpy(mask[None]))))
    return sample


@pytest.mark.parametrize('config', mostly(CONFIGS))
def test_trains_one_step_and_predicts_at_mini_size(config, check_agreement):
    cfg = load(config)
    check_agreement(cfg)
    cfg.merge_from_dict(dict(model=mini_model(cfg.model)))
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    optimizer = OPTIMIZERS.build(dict(
        cfg.optim_wrapper.optimizer, params=[
            p for p in model.parameters() if p.requires_grad]))
    size = (41, 67)

    def batch():
        return dict(
            inputs=[torch.randint(0, 256, (3, *size), dtype=torch.uint8)
                    for _ in range(2)],
            data_samples=[label_of(model, size, seed) for seed in range(2)])

    data = model.data_preprocessor(batch(), training=True)
    losses = model(**data, mode='loss')
    total, _ = model.parse_losses(losses)
    assert torch.isfinite(total)
    total.backward()
    frozen = cfg.model.backbone.get('freeze_unet', False)
    grads = {n: p.grad for n, p in model.backbone.unet.named_parameters()}
    assert all((grad is None) == frozen for grad in grads.values())
    before = [p.clone() for p in model.parameters()]
    optimizer.step()
    learning = [(p, b) for p, b in zip(model.parameters(), before)
                if p.grad is not None and p.grad.any()]
    assert len(learning) > 40
    assert not any(torch.equal(p, b) for p, b in learning)
    model.eval()
    with torch.no_grad():
        results = model.test_step(batch())
    if config in CLASSES:
        classes = model.decode_head.num_classes
        assert results[0].seg_logits.data.shape == (classes, *size)
        field, channels = 'pred_sem_seg', 1
    else:
        field = model.codec.pred_field
        channels = 3 if model.codec.quantity == 'normal' else 1
    assert [r.get(field).data.shape for r in results] == [
        (channels, *size)] * 2


@pytest.mark.parametrize('config', DENSE)
def test_one_codec_feeds_pipeline_head_and_visualizer(config):
    """Wherever a codec stands in a config, it is the same."""
    cfg = load(config)
    found = []

    def walk(node):
        if isinstance(node, dict):
            if 'codec' in node:
                found.append(node['codec'])
            for value in node.values():
                walk(value)
        elif isinstance(node, (list, tuple)):
            for value in node:
                walk(value)

    walk(cfg.to_dict())
    # the entry, the head, the visualizer and each training pipeline
    assert len(found) >= 4
    assert all(codec == found[0] for codec in found)
    assert cfg.model.decode_head.codec == cfg.visualizer.codec


@pytest.mark.parametrize('config', UPERNET)
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
    if 'DISMetric' in str(cfg.test_evaluator):
        pytest.importorskip('py_sod_metrics')
    VISUALIZERS.build(dict(cfg.visualizer, vis_backends=None))
    for hook in (*cfg.default_hooks.values(), *cfg.get('custom_hooks', ())):
        HOOKS.build(hook)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = OPTIMIZERS.build(dict(cfg.optim_wrapper.optimizer,
                                      params=[parameter]))
    for scheduler in cfg.param_scheduler:
        PARAM_SCHEDULERS.build(dict(scheduler, optimizer=optimizer))
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        for metric in ([evaluator] if isinstance(evaluator, dict)
                       else evaluator):
            ROOT_METRICS.build(metric)


def rate_after(cfg, steps):
    """Learning rate after so many steps, in closed form."""
    warm_up, decay = cfg.param_scheduler
    assert (warm_up.type, decay.type) == ('LinearLR', 'ExponentialLR')
    assert warm_up.begin == 0 and warm_up.end == decay.begin
    done = min(steps / (warm_up.end - 1), 1)
    return 3e-5 * (
        warm_up.start_factor + (1 - warm_up.start_factor) * done) * (
            decay.gamma**(min(max(steps, decay.begin), decay.end - 1)
                          - decay.begin))


@pytest.mark.parametrize('config', [
    'configs/genpercept_upernet_hypersim.py',
    'configs/genpercept_vae_hypersim-vkitti2-depth.py',
    'configs/_base_/schedules/genpercept_30k_accu1.py',
    'configs/_base_/schedules/genpercept_30k_accu4.py'])
def test_paper_schedule_takes_the_published_learning_rates(config):
    """The official table, in optimizer steps; warm-up is one step ahead, as
    its first rate is 0 there."""
    from mmengine.registry import PARAM_SCHEDULERS
    cfg = Config.fromfile(config)
    assert cfg.train_cfg.type == 'genpercept_mm.StepBasedTrainLoop'
    assert cfg.train_cfg.max_iters == 30000
    assert cfg.auto_scale_lr.base_batch_size == 32
    for step, rate in {
            0: 3e-7, 49: 1.5e-5, 99: 3e-5, 100: 3e-5, 1000: 2.540e-5,
            5000: 1.212e-5, 10000: 4.808e-6, 12550: 3e-6, 20000: 7.564e-7,
            25000: 3e-7, 29000: 3e-7}.items():
        assert rate_after(cfg, step) == pytest.approx(rate, rel=2e-3)

    # mmengine's schedulers through the warm-up and the start of the decay,
    # and around its end
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], 3e-5)
    group, = optimizer.param_groups
    schedulers = [PARAM_SCHEDULERS.build(dict(s, optimizer=optimizer))
                  for s in cfg.param_scheduler]
    jump = 25000 - 50
    for step in (*range(110), *range(jump, jump + 100)):
        if step == jump:
            group['lr'] = rate_after(cfg, step)
            for scheduler in schedulers:
                scheduler._global_step = step
                scheduler.last_step = step - scheduler.begin
        assert group['lr'] == pytest.approx(rate_after(cfg, step), rel=1e-6)
        for scheduler in schedulers:
            scheduler.step()


@pytest.mark.parametrize('config', [
    'configs/genpercept_upernet_hypersim_zeroshot-ade20k.py',
    'configs/genpercept_vae_hypersim-seg_zeroshot-ade20k.py'])
def test_zero_shot_classes_are_those_of_the_mapping(config):
    from genpercept_mm.datasets.ade20k_nyu40 import ADE20K_TO_NYU40
    cfg = load(config)
    assert cfg.test_evaluator.class_indices == sorted(
        target - 1 for target in ADE20K_TO_NYU40.values())


def data_sets(node):
    """Every data set in a loader's config."""
    if 'datasets' in node:
        for part in node['datasets']:
            yield from data_sets(part)
    else:
        yield node


@pytest.mark.parametrize('config', CONFIGS)
def test_data_sets_are_found_at_their_documented_places(config):
    """A missing folder names itself, and pipelines build."""
    cfg = load(config)
    for loader in (cfg.train_dataloader, cfg.val_dataloader,
                   cfg.test_dataloader):
        for dataset in data_sets(loader.dataset):
            assert dataset.data_root.startswith('data/')
            dataset.data_root = 'data/nowhere'
            with pytest.raises(FileNotFoundError, match='data/nowhere'):
                DATASETS.build(dataset)


@pytest.mark.parametrize('config', [
    config for config in DENSE if 'mini' not in config])
def test_every_test_set_has_an_evaluator_of_its_own(config):
    cfg = load(config)
    if '-seg' in config:
        assert cfg.test_evaluator.type == 'genpercept_mm.SegIoUMetric'
        return
    names = set()
    for dataset in data_sets(cfg.test_dataloader.dataset):
        built = DATASETS.build(dict(dataset, lazy_init=True))
        subsets = dataset.get('subset')
        names |= (set(subsets) if isinstance(subsets, list)
                  else {built.NAME})
    assert sorted(e.dataset_name for e in cfg.test_evaluator
                  if isinstance(e.dataset_name, str)) == sorted(names)
