"""The configs of the paper's ablations: what they say at paper size, and
that they train and predict at mini size."""
import json
import os
import os.path as osp
import re
from glob import glob

import cv2
import h5py
import numpy as np
import pytest
import torch
from conftest import write_hypersim
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import (
    DATASETS,
    HOOKS,
    OPTIMIZERS,
    VISUALIZERS,
    init_default_scope,
)
from mmengine.runner import Runner
from mmseg.registry import MODELS
from reproduction.ablations import ABLATIONS, read_tables, row_config

import genpercept_mm
from genpercept_mm.diffusion import build_protocol

TABLES = read_tables()['tables']
ROWS = {f'{table}/{row["id"]}': row
        for table, content in TABLES.items() for row in content['rows']}
HAS_PRIOR = osp.isdir(
    osp.join(osp.dirname(genpercept_mm.__file__), 'weights', 'mini'))
# alpha-bar at t = 500 and 999 by beta_start, calculated in double precision
ALPHAS = {
    0.0002125: (0.7253, 0.2622), 0.000425: (0.5259, 0.0686),
    0.00085: (0.2763, 0.00466), 0.0034: (0.005692, 3.70e-10),
    0.136: (6.8e-36, 0), 0.544: (0, 0), 1: (0, 0)}
# mean ranks as the paper prints them, by group, in the order of ALPHAS
RANKS = {
    'Marigold, multi-res noise': (7.0, 5.8, 3.6, 2.3, 2.8, 4.7, 1.7),
    'Marigold': (7.0, 6.0, 5.0, 2.4, 2.3, 3.7, 1.5),
    'DMP': (6.9, 6.1, 5.0, 3.8, 2.2, 2.3, 1.2)}
MSE = dict(type='genpercept_mm.MaskedMSELoss', loss_weight=1.0)
DPT = {
    'backbone.out_indices': (0, 1, 2, 3),
    'decode_head.type': 'genpercept_mm.DPTDecodeHead',
    'decode_head.in_channels': [320, 640, 1280, 1280],
    'decode_head.channels': 256,
    'decode_head.head_channels': 32,
    'decode_head.loss_decode': MSE,
    'decode_head.arch': None,
    'decode_head.pretrained': None,
    'decode_head.decoder': None,
    'decode_head.loss_latent': None,
}
# what a row's model has that the baseline's has not (None: the reverse)
MODEL_CHANGES = {
    '2/unet-scratch': {'backbone.scratch_unet': True},
    '2/vae-scratch': {
        'decode_head.decoder': 'scratch', 'decode_head.loss_latent': None,
        'decode_head.loss_decode': MSE},
    '2/image-mse': {
        'decode_head.loss_latent': None, 'decode_head.loss_decode': MSE},
    '2/image-mse-ssi-grad': {
        'decode_head.loss_latent': None, 'decode_head.loss_decode': [
            MSE,
            dict(type='genpercept_mm.ScaleShiftInvariantLoss',
                 loss_weight=0.5),
            dict(type='genpercept_mm.GradientMatchingLoss',
                 loss_weight=2.0)]},
    '2/dpt': DPT,
    '3/prompt-valid': {'backbone.prompt': 'A high quality RGB image'},
    '3/prompt-random': {'backbone.prompt': 'F3@qV!k2*#Zp^n%1Lz'},
    **{f'3/timestep-{t}': {
        'backbone.timestep': t, 'backbone.train_timestep': t}
       for t in (1, 500, 900)},
    '4/frozen-unet_dpt': dict(DPT, **{'backbone.freeze_unet': True}),
    **{f'4/lora-{r}': {'backbone.lora_rank': r}
       for r in (4, 16, 64, 256, 1024)},
}


def flat(node, prefix=''):
    """Config values by dotted key; losses and codecs stay whole."""
    values = {}
    for key, value in node.items():
        if isinstance(value, dict) and key not in (
                'loss_decode', 'loss_latent', 'codec', 'protocol'):
            values.update(flat(value, f'{prefix}{key}.'))
        elif value is not None:
            values[prefix + key] = value
    return values


def changes(cfg, base):
    """Keys whose value is another, with the value (None: absent)."""
    ours, theirs = flat(cfg.model.to_dict()), flat(base.model.to_dict())
    return {key: ours.get(key) for key in {**ours, **theirs}
            if ours.get(key) != theirs.get(key)}


def without_model(cfg, *keys):
    return {key: value for key, value in cfg.to_dict().items()
            if key not in ('model', *keys)}


@pytest.fixture(scope='module')
def baseline():
    return row_config('table1/baseline.py', 'paper')


def test_every_config_is_a_row_and_every_row_has_a_config_of_its_own():
    found = sorted(osp.relpath(path, ABLATIONS)
                   for path in glob(osp.join(ABLATIONS, '*', '*.py'))
                   if '_base_' not in path)
    assert sorted(row['config'] for row in ROWS.values()) == found
    for key, row in ROWS.items():
        table = key.split('/')[0]
        assert row['config'] == f'table{table}/{row["id"]}.py'
        with open(osp.join(ABLATIONS, row['config'])) as file:
            assert len(file.read().split('\n')) <= 20
    assert {t: len(c['rows']) for t, c in TABLES.items()} == {
        '1': 24, '2': 6, '3': 6, '4': 7, '5': 2, '12': 5}


def test_numbers_of_table_1_give_the_printed_mean_ranks():
    """Competition ranks among seven rows; ties take the best."""
    for group, expected in RANKS.items():
        rows = [row for row in TABLES['1']['rows'] if row['group'] == group]
        assert [row['x'] for row in rows] == list(ALPHAS)
        numbers = np.array([row['paper'] for row in rows])
        # AbsRel ascends, delta1 descends
        numbers[:, 1::2] *= -1
        ranks = 1 + (numbers[:, None] > numbers[None]).sum(axis=1)
        np.testing.assert_allclose(ranks.mean(axis=1), expected, atol=.0501)


def test_numbers_of_rows_that_share_a_training():
    base = ROWS['1/baseline']['paper']
    for key, row in ROWS.items():
        assert len(row['paper']) == 10
        assert all(0 < number < 1 for number in row['paper'])
        if row['train_as']:
            trainer = (row['train_as'] if '/' in row['train_as']
                       else f'1/{row["train_as"]}')
            assert row['paper'] == ROWS[trainer]['paper'], key
    assert {key for key, row in ROWS.items() if row['paper'] == base} == {
        '1/dmp_beta-1-1', *(f'{t}/baseline' for t in TABLES)}


@pytest.mark.parametrize('key', ROWS)
def test_recipe_is_the_papers(key, baseline, check_agreement):
    """Adam, 3e-5, 32 images, 30k steps, 640 x 480, flips only; tested on
    five data sets. Nothing but what the row is about differs."""
    cfg = row_config(ROWS[key]['config'], 'paper')
    check_agreement(cfg)
    assert cfg.optim_wrapper.optimizer == dict(type='Adam', lr=3e-5)
    assert 'clip_grad' not in cfg.optim_wrapper
    assert cfg.train_cfg.type == 'genpercept_mm.StepBasedTrainLoop'
    assert cfg.auto_scale_lr.base_batch_size == 32
    assert cfg.train_cfg.max_iters == 30000
    assert cfg.train_dataloader.batch_sampler.probabilities == [0.9, 0.1]
    assert [d.type for d in cfg.test_dataloader.dataset.datasets] == [
        f'genpercept_mm.{name}' for name in (
            'KITTIDepthDataset', 'NYUDepthDataset', 'ScanNetDepthDataset',
            'DIODEDataset', 'ETH3DDataset')]
    for dataset in cfg.train_dataloader.dataset.datasets:
        kinds = [step.type.split('.')[-1] for step in dataset.pipeline]
        assert set(kinds) <= {
            'LoadHypersimImage', 'LoadImageFromFile', 'LoadDepth',
            'EncodeTarget', 'KITTIBenchmarkCrop', 'DenseResize',
            'DenseRandomFlip', 'PackDenseInputs'}
        if 'DenseResize' in kinds:
            step = dataset.pipeline[kinds.index('DenseResize')]
            assert step.scale == (640, 480)
    model = cfg.model
    assert model.backbone.arch == 'sd21' and model.backbone.pretrained
    assert model.backbone.get('freeze_vae', True)

    own = dict(table1=('model', ), table12=('train_dataloader', ),
               table5=('train_dataloader', 'real_pipeline')).get(
                   ROWS[key]['config'].split('/')[0], ())
    if 'lora' in key or 'frozen' in key:
        own = ('custom_hooks', )
    assert without_model(cfg, *own) == without_model(baseline, *own)


def test_baseline_is_one_step_on_the_latent(baseline):
    model = baseline.model
    assert build_protocol(model.get('protocol', 'one_step')).is_one_step
    assert model.backbone.train_timestep == 'random'
    assert model.backbone.get('timestep', 1) == 1
    assert model.backbone.get('prompt', '') == ''
    assert model.decode_head.loss_latent == MSE
    assert model.decode_head.get('loss_decode') is None
    assert model.decode_head.decoder == 'frozen'
    assert model.decode_head.codec == dict(
        type='AffineDepthCodec', space='depth')


@pytest.mark.parametrize('key', [
    key for key in ROWS if key.startswith('1/') and key != '1/baseline'])
def test_protocols_of_table_1(key, baseline):
    row = ROWS[key]
    cfg = row_config(row['config'], 'paper')
    kind, start, end, steps = re.fullmatch(
        r'1/([a-z-]+)_beta-([\d.]+)-([\d.]+?)(?:_steps-(\d+))?',
        key).groups()
    protocol = build_protocol(cfg.model.protocol)
    assert row['x'] in (None, float(start))
    middle, last = ALPHAS[float(start)]
    for timestep, alpha in ((500, middle), (999, last)):
        # published to three digits at least; what is below fp32 is 0 there
        assert float(protocol.schedule.alpha(timestep)) == pytest.approx(
            alpha, rel=4e-3, abs=1e-38)
    assert protocol.multi_res == (.9 if 'multires' in kind else 0)
    assert protocol.stochastic == kind.startswith('marigold')
    assert protocol.decode == 'clean'
    num_steps = cfg.model.test_cfg.get('num_steps') or protocol.num_steps
    assert num_steps == int(steps or 10)
    assert cfg.model.test_cfg.get('ensemble_size', 1) == 1
    channels = 8 if protocol.stochastic else 4
    assert cfg.model.backbone.get('in_channels', 4) == channels
    assert protocol.in_channels == channels
    assert cfg.model.type == 'genpercept_mm.LatentDiffusionEstimator'
    assert set(changes(cfg, baseline)) <= {
        'type', 'protocol', 'backbone.in_channels', 'test_cfg.num_steps'}


@pytest.mark.parametrize('key', [
    key for key in ROWS if not key.startswith('1/')])
def test_models_differ_from_the_baseline_in_their_row_only(key, baseline):
    found = changes(row_config(ROWS[key]['config'], 'paper'), baseline)
    assert found == MODEL_CHANGES.get(key, {})


def test_models_are_those_of_the_other_configs():
    """Table 2's customized loss is table 6's depth model."""
    ours = row_config('table2/image-mse-ssi-grad.py', 'paper').model
    theirs = Config.fromfile(
        'configs/genpercept_vae_hypersim-vkitti2-depth.py').model
    assert ours.decode_head.pop('loss_latent') is None
    assert ours == theirs
    ours = row_config('table2/dpt.py', 'paper').model
    theirs = Config.fromfile('configs/_base_/models/genpercept_dpt.py').model
    for key in ('codec', 'loss_decode'):
        del ours.decode_head[key]
    assert ours == theirs


def test_checkpoints_of_frozen_u_nets_hold_what_was_trained():
    for row in TABLES['4']['rows'][1:]:
        hooks = row_config(row['config'], 'paper').custom_hooks
        assert [hook.type.split('.')[1] for hook in hooks] == [
            'TrainedWeightsHook']


def test_fractions_of_table_12(baseline):
    loaders = [row_config(row['config'], 'paper').train_dataloader
               for row in TABLES['12']['rows']]
    assert [loader.batch_sampler.pop('fraction', 1) for loader in loaders
            ] == [row['x'] for row in TABLES['12']['rows']] == [
                1, 1 / 2, 1 / 4, 1 / 8, 1 / 16]
    assert all(loader == baseline.train_dataloader for loader in loaders)


def test_real_data_of_table_5(baseline):
    loader = row_config('table5/taskonomy-cityscapes.py',
                        'paper').train_dataloader
    taskonomy, cityscapes = loader.dataset.datasets
    assert taskonomy.type == 'genpercept_mm.TaskonomyDataset'
    assert taskonomy.max_samples == 50000
    assert cityscapes.type == 'genpercept_mm.CityscapesDepthDataset'
    for dataset in (taskonomy, cityscapes):
        assert any(step.get('scale') == (640, 480)
                   for step in dataset.pipeline)
        assert dataset.pipeline[0].type == 'LoadImageFromFile'
    loader.dataset = baseline.train_dataloader.dataset
    assert loader == baseline.train_dataloader


def test_real_data_load_at_one_size_and_within_their_ranges(tmp_path):
    """A quarter at 5 m, one at 10 m, half beyond 65 and 80 m."""
    def write(path, array):
        osp.isdir(osp.dirname(path)) or os.makedirs(osp.dirname(path))
        cv2.imwrite(path, array)

    disparity = 0.2 * 2250 / np.array([5, 10, 81, 81])
    for root, image, label, size, values in (
            ('taskonomy', 'rgb/a/point_0_view_0_domain_rgb.png',
             'depth_zbuffer/a/point_0_view_0_domain_depth_zbuffer.png',
             (512, 512), np.array([5, 10, 66, 66]) * 512),
            ('cityscapes', 'leftImg8bit/train/a/a_0_0_leftImg8bit.png',
             'disparity/train/a/a_0_0_disparity.png', (1024, 2048),
             disparity * 256 + 1)):
        stripes = values.round().repeat(size[1] // 4) * np.ones((size[0], 1))
        write(str(tmp_path / root / image), np.zeros((*size, 3), np.uint8))
        write(str(tmp_path / root / label), stripes.astype(np.uint16))
    camera = tmp_path / 'cityscapes/camera/train/a/a_0_0_camera.json'
    os.makedirs(camera.parent)
    camera.write_text(json.dumps(dict(
        extrinsic=dict(baseline=.2), intrinsic=dict(fx=2250))))
    cfg = row_config('table5/taskonomy-cityscapes.py', 'paper')
    init_default_scope(cfg.default_scope)
    for dataset in cfg.train_dataloader.dataset.datasets:
        dataset.data_root = str(tmp_path / osp.basename(dataset.data_root))
        if 'splits' in dataset:
            assert dataset.splits == ['train', 'train_extra']
            dataset.splits = 'train'
        dataset.pipeline = [step for step in dataset.pipeline
                            if 'Flip' not in step.type]
        packed = DATASETS.build(dataset)[0]
        assert packed['inputs'].shape == (3, 480, 640)
        sample = packed['data_samples']
        mask = sample.gt_target_mask.data[0]
        assert mask[:, :320].all() and not mask[:, 320:].any()
        target = sample.gt_target.data[0]
        assert (target[:, :160] == -1).all() and (target[:, 160:] == 1).all()


@pytest.mark.parametrize('key', [
    key for key, row in ROWS.items() if row['train_as']])
def test_borrowed_trainings_are_the_rows_own(key):
    """A row that tests another one's checkpoint would train the same."""
    row = ROWS[key]
    trainer = ROWS[row['train_as'] if '/' in row['train_as']
                   else f'1/{row["train_as"]}']
    assert trainer['train_as'] is None
    ours, theirs = (row_config(one['config'], 'paper')
                    for one in (row, trainer))
    assert without_model(ours) == without_model(theirs)
    protocols = [build_protocol(cfg.model.pop('protocol', 'one_step'))
                 for cfg in (ours, theirs)]
    for cfg in (ours, theirs):
        cfg.model.pop('test_cfg')
        # the same training where betas are 1, as test_estimators show
        cfg.model.pop('type')
    assert ours.model == theirs.model
    for field in ('multi_res', 'stochastic', 'is_one_step'):
        assert len({getattr(p, field) for p in protocols}) == 1
    assert torch.equal(*(p.schedule.alphas_cumprod for p in protocols))


@pytest.fixture(scope='module')
def depth_root(tmp_path_factory):
    """A Hypersim of 96 frames of 64 x 48, with depth."""
    root = write_hypersim(str(tmp_path_factory.mktemp('depth')), frames=32)
    ramp = np.linspace(1, 4, 64, dtype=np.float32) * np.ones((48, 1))
    for path in glob(osp.join(root, '*', 'images', '*_geometry_*',
                              '*.semantic.hdf5')):
        with h5py.File(path.replace('semantic', 'depth_meters'), 'w') as file:
            file['dataset'] = ramp.astype(np.float32)
    return root


@pytest.fixture(scope='module')
def first_batch(depth_root):
    """First batches by loader: most rows have the same."""
    batches = {}

    def load(loader):
        loader = json.loads(json.dumps(loader.to_dict()).replace(
            'data/mini_ablations', depth_root))
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        if 'batch_sampler' in loader:
            loader['batch_sampler']['batch_size'] = 2
        key = json.dumps(loader, sort_keys=True)
        if key not in batches:
            batches[key] = next(iter(Runner.build_dataloader(loader, seed=0)))
        return dict(inputs=[i.clone() for i in batches[key]['inputs']],
                    data_samples=[s.clone() for s in
                                  batches[key]['data_samples']])

    return load


def often(rows):
    """Rows, of which those between the ends of a sweep are nightly: they
    train the same with another number."""
    return [pytest.param(key, marks=[pytest.mark.nightly] if re.search(
        '_beta-0.(0002125|000425|0034|136|544)|lora-(16|64|256)$|'
        'timestep-500|fraction-1-[248]$', key) else []) for key in rows]


@pytest.mark.parametrize('key', often(ROWS))
def test_trains_one_step_and_predicts_at_mini_size(
        key, first_batch, check_agreement):
    cfg = row_config(ROWS[key]['config'], 'mini')
    check_agreement(cfg)
    init_default_scope(cfg.default_scope)
    if not HAS_PRIOR:
        cfg.model.backbone.pretrained = None
        if 'pretrained' in cfg.model.decode_head:
            cfg.model.decode_head.pretrained = None
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    optimizer = OPTIMIZERS.build(dict(
        cfg.optim_wrapper.optimizer, params=[
            p for p in model.parameters() if p.requires_grad]))
    before = {name: p.clone() for name, p in model.named_parameters()}
    model.train()
    data = model.data_preprocessor(
        first_batch(cfg.train_dataloader), training=True)
    total, _ = model.parse_losses(model(**data, mode='loss'))
    assert torch.isfinite(total) and total > 0
    total.backward()
    optimizer.step()
    learnt = {name for name, p in model.named_parameters()
              if not torch.equal(p, before[name])}
    parts = {'unet' if name.startswith('backbone.unet') else name.split(
        '.')[0] for name in learnt}
    if 'lora' in key:
        # A gets no gradient while B is 0
        assert learnt and all('lora_B' in name for name in learnt)
    elif 'frozen' in key:
        assert parts == {'decode_head'}
    elif key in ('2/vae-scratch', '2/dpt'):
        assert parts == {'unet', 'decode_head'}
    else:
        assert parts == {'unet'}
    with torch.no_grad():
        samples = model.test_step(first_batch(cfg.test_dataloader))
    for sample in samples:
        prediction = sample.pred_depth_map.data
        assert prediction.shape == (1, 48, 64)
        assert 0 <= prediction.min() <= prediction.max() <= 1
    VISUALIZERS.build(dict(cfg.visualizer, vis_backends=None))
    for hook in (*cfg.get('custom_hooks', ()), *cfg.default_hooks.values()):
        HOOKS.build(hook)
    evaluator = Evaluator(cfg.test_evaluator)
    evaluator.process(samples)
    assert {'abs_rel', 'delta1'} <= set(evaluator.evaluate(len(samples)))


def test_readmes_name_files_that_exist():
    with open(osp.join(ABLATIONS, 'README.md')) as file:
        text = file.read()
    targets = re.findall(r'\]\(([^)#]+)\)', text)
    for target in targets:
        assert target.startswith('http') or osp.exists(
            osp.join(ABLATIONS, target)), target
    assert {f'table{number}' for number in TABLES} <= set(targets)
