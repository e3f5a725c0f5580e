"""Our backbone in the hosts' own configs, run by the hosts' own means."""
import math
import os
import os.path as osp
import re
from importlib import metadata
from importlib.machinery import PathFinder

import mixing
import pytest
import torch
from conftest import HOST_TOOL, ROOT, run_python
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS, init_default_scope

from genpercept_mm import compat
from genpercept_mm.compat import torchvision_problem
from genpercept_mm.engine.check_channels import check_channels

HOSTS = ('mmseg', 'mmdet', 'mmpose')
# of each host, what its own tool trains; the others share a process
BY_TOOL = ['configs/mixing/mmseg_segformer_ade20k.py',
           'configs/mixing/mmdet_faster-rcnn_coco.py',
           'configs/mixing/mmpose_heatmap_coco.py']
TOGETHER = {host: [config for config in mixing.CONFIGS
                   if mixing.host_of(config) == host
                   and config not in BY_TOOL]
            for host in ('mmseg', 'mmdet')}
# (H, W)
SIZES = [(333, 500), (800, 1333)]
MAY_CHANGE = re.compile(
    r'model\.(pretrained|backbone\..*|data_preprocessor\.(mean|std)\.\d|'
    r'neck\.(in_channels\.\d|start_level)|'
    r'\w*head\.(in_channels(\.\d)?|in_index|c1_in_channels|'
    r'deconv_(out_channels|kernel_sizes)))')
STOCK = '''
import sys
if sys.argv[1] == 'with':
    import genpercept_mm
import importlib, torch
from mmengine.hub import get_config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData

out = {}
for host, config in (
        ('mmseg', 'fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py'),
        ('mmdet', 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'),
        ('mmpose', 'body_2d_keypoint/topdown_heatmap/coco/'
                   'td-hm_res50_8xb64-210e_coco-256x192.py')):
    cfg = get_config(f'{host}::{config}').model
    init_default_scope(host)
    torch.manual_seed(0)
    model = MODELS.build(cfg).eval()
    sample = getattr(importlib.import_module(host + '.structures'), dict(
        mmseg='SegDataSample', mmdet='DetDataSample',
        mmpose='PoseDataSample')[host])
    size = (256, 192) if host == 'mmpose' else (60, 90)
    sample = sample(metainfo=dict(
        img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0),
        flip_indices=list(range(17)), input_size=size[::-1],
        input_center=torch.tensor([96., 128.]).numpy(),
        input_scale=torch.tensor([192., 256.]).numpy()))
    if host == 'mmpose':
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([[0., 0., 192., 256.]]).numpy(),
            bbox_scores=torch.ones(1).numpy())
    if host == 'mmdet':
        model.test_cfg.rcnn.score_thr = 0.0
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    with torch.no_grad():
        result, = model.test_step(dict(inputs=[image], data_samples=[sample]))
    predicted = {field: value for field, value in result.items()
                 if field.startswith('pred')}
    out[host] = {
        f'{field}.{key}': torch.as_tensor(value)
        for field, data in predicted.items() for key, value in data.items()}
assert ('genpercept_mm' in sys.modules) == (sys.argv[1] == 'with')
torch.save(out, sys.argv[2])
'''


@pytest.fixture(scope='session')
def root(tmp_path_factory):
    """Cityscapes, ADE20K and COCO of six pictures each."""
    return mixing.write_all(str(tmp_path_factory.mktemp('hosts_data')))


def need(config):
    """Skip without the hosts that a config needs."""
    pytest.importorskip(mixing.host_of(config))
    if 'mask2former' in config:
        pytest.importorskip('mmdet')


def load(config):
    need(config)
    cfg = Config.fromfile(config)
    init_default_scope(cfg.default_scope)
    return cfg


def base_of(config):
    with open(config) as file:
        return re.search("_base_ = '(.*)'", file.read()).group(1)


def leaves(cfg):
    """Every dotted path and value of a config that holds no other value."""
    return {path: value for path, key, value in mixing.walk(cfg.to_dict())
            # mmengine's note of who wrote an entry
            if key != '_scope_'
            and not (isinstance(value, (dict, list)) and value)}


def build_shapes(model):
    """Build at full size on a device that has shapes and no memory."""
    with torch.device('meta'):
        return MODELS.build(model).to('meta').eval()


# -- the files ----------------------------------------------------------------


@pytest.mark.parametrize('config', mixing.CONFIGS)
def test_nothing_but_backbone_range_and_channels_is_changed(
        config, check_agreement):
    cfg = load(config)
    check_agreement(cfg)
    ours, base = leaves(cfg), leaves(get_config(base_of(config)))
    changed = {path for path in {*ours, *base}
               if ours.get(path, '-') != base.get(path, '-')}
    assert [path for path in changed if not MAY_CHANGE.fullmatch(path)] == []
    assert cfg.model.backbone.type == 'genpercept_mm.SDUNet'
    assert 'custom_imports' not in cfg
    processor = cfg.model.data_preprocessor
    assert processor.mean == processor.std == [127.5] * 3
    assert processor.bgr_to_rgb


@pytest.mark.parametrize('config', [
    pytest.param(config, marks=[] if config in BY_TOOL
                 else pytest.mark.nightly) for config in mixing.CONFIGS])
@torch.no_grad()
def test_channels_and_strides_at_full_size(config):
    """Nothing is downloaded; the necks' maps have the sizes of a ResNet's."""
    cfg = load(config)
    assert cfg.model.backbone.pretrained.endswith('/stable-diffusion-2-1')
    cfg.model.backbone.pretrained = None
    model = build_shapes(cfg.model)
    assert sum(p.numel() for p in model.backbone.parameters()) > 800e6 or (
        config.startswith('configs/mixing/mmpose'))
    check_channels(model, cfg.model)
    host = mixing.host_of(config)
    stock = build_shapes(get_config(base_of(config)).model) if (
        host == 'mmdet') else None
    for height, width in SIZES:
        if host == 'mmdet':  # the base's pad_size_divisor
            height, width = (math.ceil(n / 32) * 32 for n in (height, width))
        elif config.endswith('fcn_cityscapes.py') or host == 'mmpose':
            height, width = (n // 8 * 8 for n in (height, width))
        image = torch.zeros(1, 3, height, width, device='meta')
        maps = model.backbone(image)
        assert [tuple(m.shape[1:]) for m in maps] == [
            (channels, math.ceil(height / stride), math.ceil(width / stride))
            for channels, stride in zip(
                model.backbone.out_channels, model.backbone.out_strides)]
        if stock is None:
            continue
        expected = [m.shape for m in stock.extract_feat(image)]
        if stock.with_neck:
            assert [m.shape for m in model.neck(maps)] == expected
        else:  # channels are the backbones'
            assert [m.shape[2:] for m in maps] == [s[2:] for s in expected]


@pytest.mark.parametrize('config', [
    config for config in mixing.CONFIGS if 'mmpose' not in config])
def test_images_of_any_size_need_no_padding(config):
    """This holds even where the host is told not to pad."""
    cfg = load(config)
    cfg.merge_from_dict(mixing.model_options(cfg.model))
    for key in ('pad_size_divisor', 'size_divisor'):
        if key in cfg.model.data_preprocessor:
            cfg.model.data_preprocessor[key] = 1
    if mixing.host_of(config) == 'mmseg':
        cfg.model.data_preprocessor.test_cfg = None
        from mmseg.structures import SegDataSample as Sample
    else:
        from mmdet.structures import DetDataSample as Sample
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    size = (61, 93)
    with torch.no_grad():
        sample, = model.test_step(dict(
            inputs=[torch.randint(0, 256, (3, *size), dtype=torch.uint8)],
            data_samples=[Sample(metainfo=dict(
                img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)))]))
    if mixing.host_of(config) == 'mmseg':
        assert sample.pred_sem_seg.data.shape == (1, *size)
        return
    instances = sample.pred_instances
    assert len(instances) > 0 and instances.scores.isfinite().all()
    if 'masks' in instances:
        assert instances.masks.shape[1:] == size


# -- training -----------------------------------------------------------------


def child(config, folder, imports):
    """A config for a tool: without panopticapi's metric, with the import."""
    lines = [f'_base_ = [{osp.join(ROOT, config)!r}]']
    if imports:
        lines.append("custom_imports = dict(imports=['genpercept_mm'])")
    if 'panoptic' in config:
        kept = mixing.without_panoptic_metric(
            Config.fromfile(config).val_evaluator)
        lines.append(f'val_evaluator = {kept}\ntest_evaluator = {kept}')
    path = folder / osp.basename(config)
    path.write_text('\n'.join(lines))
    return path


def train_by_tool(config, folder, root, imports, python_path=()):
    path = child(config, folder, imports)
    options = mixing.options_of(Config.fromfile(path), root)
    done = run_python(
        '-c', HOST_TOOL.format(host=mixing.host_of(config)), path,
        '--work-dir', folder / 'work', *mixing.as_arguments(options),
        python_path=[*python_path, osp.join(root, 'modules', 'panopticapi')],
        hosts=False)
    log = done.stdout + done.stderr
    losses = re.findall(r'\(train\).* loss: ([\d.]+)', log)
    assert len(losses) == 2 and all(float(loss) > 0 for loss in losses), log
    assert re.search(r'\(val\) .*(mIoU|coco/bbox_mAP|coco/AP): [\d.]+', log)


@pytest.mark.slow
@pytest.mark.parametrize('config', [
    pytest.param(config, marks=[] if 'mmdet' in config
                 else pytest.mark.nightly) for config in BY_TOOL])
def test_the_hosts_tool_needs_one_line_without_compiled_mmcv(
        root, tmp_path, config):
    need(config)
    train_by_tool(config, tmp_path, root, imports=True)


@pytest.mark.nightly
@pytest.mark.parametrize('config', mixing.CONFIGS)
def test_the_hosts_tool_needs_nothing_with_compiled_mmcv(
        root, full_mmcv, tmp_path, config):
    """Only mmpose, which imports torchvision, needs that or the line."""
    need(config)
    imports = 'mmpose' in config and torchvision_problem() is not None
    train_by_tool(config, tmp_path, root, imports, python_path=[full_mmcv])


def train_together(configs, folder, root, *python_path):
    run_python(osp.join(ROOT, 'tests', 'mixing.py'), root, folder, *configs,
               python_path=[osp.join(root, 'modules', 'panopticapi'),
                            *python_path], hosts=False)
    return [torch.load(folder / osp.basename(config).replace('.py', '.pth'),
                       weights_only=True) for config in configs]


def check_trained(result):
    assert result['iterations'] == 2
    assert all(len(loss) == 2 and loss.isfinite().all()
               for loss in result['losses'].values())
    # with several GPUs one that waits for its gradient stops the training
    assert result['without_gradient'] == []
    assert any(re.search('mIoU|bbox_mAP|AP', key) for key in
               result['metrics'])
    assert len(result['predictions']) == 2
    for prediction in result['predictions']:
        assert prediction
        for value in prediction.values():
            assert value.numel() and torch.isfinite(value).all()


@pytest.mark.slow
@pytest.mark.parametrize('host', [
    # one detector trains by the host's own tool above
    pytest.param(host, marks=[pytest.mark.nightly] if host == 'mmdet' else [])
    for host in TOGETHER])
def test_trains_and_predicts(root, tmp_path, host):
    for config in TOGETHER[host]:
        need(config)
    for result in train_together(TOGETHER[host], tmp_path, root):
        check_trained(result)


@pytest.mark.nightly
@pytest.mark.parametrize('host', HOSTS)
def test_compiled_mmcv_and_its_stand_in_train_alike(
        root, full_mmcv, tmp_path_factory, host):
    """Losses, updated parameters and predictions, from the same seed."""
    if not any(d.name == 'mmcv-lite' for d in metadata.distributions()):
        pytest.skip('compiled mmcv is installed here')
    configs = [config for config in mixing.CONFIGS
               if mixing.host_of(config) == host]
    for config in configs:
        need(config)
    results = [train_together(configs, tmp_path_factory.mktemp('env'), root,
                              *path) for path in ((), (full_mmcv, ))]
    for ours, compiled in zip(*results):
        check_trained(ours)
        for part in ('losses', 'parameters'):
            assert ours[part].keys() == compiled[part].keys()
            for key, value in ours[part].items():
                torch.testing.assert_close(
                    value, compiled[part][key], rtol=1e-4, atol=1e-4)
        for pair in zip(ours['predictions'], compiled['predictions']):
            assert pair[0].keys() == pair[1].keys()
            for key, value in pair[0].items():
                torch.testing.assert_close(
                    value, pair[1][key], rtol=1e-4, atol=1e-4)


# -- configs without us -------------------------------------------------------


@pytest.mark.slow
@pytest.mark.nightly
def test_stock_models_are_not_changed_by_our_import(
        root, full_mmcv, tmp_path):
    """With compiled mmcv; without it the hosts do not import by
    themselves."""
    pytest.importorskip('mmdet')
    pytest.importorskip('mmpose')
    path = [full_mmcv]
    # mmpose imports one name of torchvision, and xtcocotools
    if torchvision_problem():
        path.append(osp.join(root, 'modules', 'torchvision'))
    if not PathFinder.find_spec('xtcocotools'):
        ours = osp.join(osp.dirname(compat.__file__), 'xtcocotools')
        os.symlink(ours, tmp_path / 'xtcocotools')
        path.append(tmp_path)
    for mode in ('with', 'without'):
        run_python('-c', STOCK, mode, tmp_path / mode, python_path=path,
                   hosts=False)
    ours, stock = (torch.load(tmp_path / mode, weights_only=True)
                   for mode in ('with', 'without'))
    assert [*ours] == [*stock] == [*HOSTS]
    for host in HOSTS:
        assert ours[host].keys() == stock[host].keys() and ours[host]
        for key, value in ours[host].items():
            assert value.numel() and torch.equal(value, stock[host][key])
