import os.path as osp
from glob import glob

import pytest
import yaml
from conftest import write_hypersim
from mmengine.config import Config
from reproduction.ablations import ABLATIONS, read_tables, row_config


def test_tables_are_those_of_the_file_with_every_field():
    with open(osp.join(ABLATIONS, 'tables.yml')) as file:
        content = yaml.safe_load(file)
    tables = read_tables()
    assert tables['metrics'] == content['metrics']
    assert list(tables['tables']) == ['1', '2', '3', '4', '5', '12']
    for number, table in tables['tables'].items():
        assert set(table) == {'title', 'sweep', 'rows'}
        for row, raw in zip(table['rows'], content['tables'][number]['rows'],
                            strict=True):
            assert set(row) == {'id', 'name', 'config', 'paper', 'train_as',
                                'group', 'x'}
            assert {k: v for k, v in row.items() if v is not None} == raw


def test_paper_scale_is_the_config_as_it_is():
    path = osp.join(ABLATIONS, 'table4', 'lora-16.py')
    assert row_config('table4/lora-16.py', 'paper').to_dict() == (
        Config.fromfile(path).to_dict())


@pytest.mark.parametrize('rank, mini', [
    (4, 1), (16, 2), (64, 6), (256, 26), (1024, 102)])
def test_ranks_shrink_with_the_widths(rank, mini):
    cfg = row_config(f'table4/lora-{rank}.py', 'mini')
    assert cfg.model.backbone.lora_rank == mini
    assert [hook.type for hook in cfg.custom_hooks] == [
        'genpercept_mm.TrainedWeightsHook']


@pytest.mark.parametrize('config, kept', [
    ('table1/marigold_beta-0.00085-0.012.py',
     {'model.protocol.type': 'marigold', 'model.protocol.multi_res': 0,
      'model.protocol.schedule.beta_start': 0.00085,
      'model.backbone.in_channels': 8}),
    ('table1/marigold_beta-1-1_steps-1.py',
     {'model.test_cfg.num_steps': 1}),
    ('table2/vae-scratch.py', {'model.decode_head.decoder': 'scratch'}),
    ('table3/timestep-900.py', {'model.backbone.timestep': 900}),
    ('table3/prompt-random.py',
     {'model.backbone.prompt': 'F3@qV!k2*#Zp^n%1Lz'}),
    ('table12/fraction-1-8.py',
     {'train_dataloader.batch_sampler.fraction': 0.125}),
])
def test_rows_keep_at_mini_scale_what_they_are_about(config, kept):
    cfg = row_config(config, 'mini')
    for key, value in kept.items():
        found = cfg
        for part in key.split('.'):
            found = found[part]
        assert found == value
    assert cfg.model.backbone.arch == 'mini'
    assert cfg.model.backbone.pretrained == 'mini'
    assert cfg.model.backbone.get('freeze_vae', True)


@pytest.mark.parametrize('config', [
    'table1/baseline.py', 'table4/frozen-unet_dpt.py',
    'table5/taskonomy-cityscapes.py'])
def test_mini_scale_stays_within_the_rendered_rooms(config):
    cfg = row_config(config)
    text = cfg.pretty_text
    roots = {part.split("'")[1] for part in text.split('data_root=')[1:]}
    assert roots == {'data/mini_ablations'}
    assert 'KITTI' not in text and 'sd21' not in text
    assert 'stable-diffusion' not in text
    assert [d.split for d in cfg.test_dataloader.dataset.datasets] == [
        'val', 'test']
    noisy = ['SensorDepthNoise' in str(loader.dataset) for loader in (
        cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)]
    assert noisy == ['cityscapes' in config, False, False]
    order = [step.type.split('.')[-1]
             for step in cfg.train_dataloader.dataset.pipeline]
    if noisy[0]:
        # between these two it changes the label, nowhere else
        assert order[1:4] == ['LoadDepth', 'SensorDepthNoise', 'EncodeTarget']


def test_schedule_falls_to_a_hundredth_after_five_sixths():
    """The shape of the paper's, whatever the length."""
    import torch
    from mmengine.registry import PARAM_SCHEDULERS
    cfg = row_config('table1/baseline.py')
    rate, last = cfg.optim_wrapper.optimizer.lr, cfg.train_cfg.max_iters
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], rate)
    schedulers = [PARAM_SCHEDULERS.build(dict(s, optimizer=optimizer))
                  for s in cfg.param_scheduler]
    seen = []
    for _ in range(last):
        seen.append(optimizer.param_groups[0]['lr'])
        for scheduler in schedulers:
            scheduler.step()
    assert max(seen) == pytest.approx(rate)
    assert seen[0] < rate / 5 and seen.index(max(seen)) < last / 10
    assert seen[-1] == seen[last * 5 // 6] == pytest.approx(
        rate / 100, rel=.03)
    assert cfg.optim_wrapper.get('accumulative_counts', 1) == 1
    assert cfg.optim_wrapper.optimizer.type == 'Adam'


@pytest.mark.parametrize('config', [
    'table1/marigold_beta-1-1_steps-1.py', 'table4/lora-4.py',
    'table5/taskonomy-cityscapes.py'])
def test_a_dumped_row_is_complete(config, tmp_path):
    cfg = row_config(config)
    cfg.dump(str(tmp_path / 'row.py'))
    assert '_base_' not in (tmp_path / 'row.py').read_text()
    assert Config.fromfile(str(tmp_path / 'row.py')).to_dict() == (
        cfg.to_dict())


def test_unknown_scales_and_files_are_refused(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match=r"scale must be one of \('paper', "
                       r"'mini'\), got 'tiny'"):
        row_config('table1/baseline.py', 'tiny')
    with pytest.raises(FileNotFoundError, match='table1/missing.py'):
        row_config('table1/missing.py')
    monkeypatch.chdir(tmp_path)
    for call in (read_tables, lambda: row_config('table1/baseline.py')):
        with pytest.raises(FileNotFoundError,
                           match='run from the root of the repository'):
            call()


@pytest.mark.parametrize('change, message', [
    ("model = dict(backbone=dict(lora_rank=5))",
     r'has 5, and lora_ranks of .*mini.py has only \[4, 16, 64, 256, 1024\]'),
    ("model = dict(decode_head=dict(type='genpercept_mm.OtherHead'))",
     "has 'OtherHead', and heads of .*mini.py has only"),
    ("train_dataloader = dict(dataset=dict(datasets=["
     "dict(type='FolderPairsDataset')]))",
     "has 'FolderPairsDataset', and train_sets of .*mini.py has only"),
])
def test_what_mini_scale_has_no_answer_for_is_named(tmp_path, change,
                                                    message):
    path = tmp_path / 'row.py'
    base = osp.abspath(osp.join(ABLATIONS, '_base_', 'baseline.py'))
    path.write_text(f"_base_ = ['{base}']\n{change}\n")
    with pytest.raises(ValueError, match=f'row_config: .*{message}'):
        row_config(str(path))


@pytest.mark.nightly
def test_a_dumped_row_trains_and_tests(tmp_path, run_python, mini_options):
    """Ten steps of noise, by the tools that users run."""
    import h5py
    import numpy as np
    root = write_hypersim(str(tmp_path / 'data'))
    for path in glob(osp.join(root, '*', 'images', '*_geometry_*',
                              '*.semantic.hdf5')):
        with h5py.File(path.replace('semantic', 'depth_meters'), 'w') as file:
            file['dataset'] = np.tile(
                np.linspace(1, 4, 64, dtype=np.float32), (48, 1))
    cfg = row_config('table1/marigold-multires_beta-0.00085-0.012.py')
    # whatever weights are installed
    cfg.model.backbone.pretrained = cfg.model.decode_head.pretrained = None
    text = cfg.pretty_text.replace('data/mini_ablations', root)
    (tmp_path / 'row.py').write_text(text)
    options = mini_options(root)
    options.remove(f'test_dataloader.dataset.data_root={root}')
    done = run_python('tools/train.py', tmp_path / 'row.py', '--work-dir',
                      tmp_path / 'work', *options)
    assert 'abs_rel: ' in done.stdout + done.stderr
    options = [option for option in options if not option.startswith('train')]
    done = run_python('tools/test.py', tmp_path / 'row.py',
                      tmp_path / 'work' / 'iter_2.pth', '--work-dir',
                      tmp_path / 'work', *options)
    assert 'abs_rel: ' in done.stdout + done.stderr
