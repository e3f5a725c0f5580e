import importlib.util
import json
import os
import os.path as osp
import re
import resource
import signal
import subprocess
from glob import glob
from types import SimpleNamespace

import cv2
import h5py
import numpy as np
import processes
import pytest
import torch
from conftest import HOST_TOOL, MINI_CONFIG, ROOT, mini_options, run_python

from genpercept_mm.datasets.io.hypersim_io import frame_path

NO_PICTURES = {'default_hooks.visualization.draw': 'False'}


def train(work_dir, data_root, *flags, check=True, options=(),
          config=MINI_CONFIG, **kwargs):
    return run_python(
        'tools/train.py', config, '--work-dir', work_dir, *flags,
        *mini_options(data_root, **dict(options)), check=check, **kwargs)


def final_losses(work_dir):
    """{iteration: loss} over all logs of a work dir."""
    losses = {}
    for path in sorted(glob(osp.join(work_dir, '*/vis_data/scalars.json'))):
        with open(path) as file:
            for line in file:
                row = json.loads(line)
                if 'loss' in row:
                    losses[row['step']] = row['loss']
    return losses


def validation(work_dir):
    """The last line of results in the log of a work dir, without times."""
    path, = glob(osp.join(work_dir, '*/vis_data/scalars.json'))
    with open(path) as file:
        rows = [json.loads(line) for line in file]
    return {key: value for key, value in
            [row for row in rows if 'mIoU' in row][-1].items()
            if 'time' not in key}


def test_training_validates_draws_and_saves(trained_mini):
    with open(osp.join(trained_mini, 'stdout.txt')) as file:
        log = file.read()
    assert re.search(r'Iter\(train\) \[2/2\] .*eta: .*decode.loss_ce: .*'
                     'aux.loss_ce: ', log)
    assert re.search(r'\|\s+wall\s+\|', log) and 'mIoU: ' in log
    pictures = glob(osp.join(trained_mini, '*/vis_data/vis_image/*.png'))
    assert len(pictures) == 3  # one per validation frame
    assert cv2.imread(pictures[0]).shape[1] >= 2 * 64  # label | prediction
    checkpoint = torch.load(
        osp.join(trained_mini, 'iter_2.pth'), weights_only=True)
    assert 'backbone.unet.conv_in.weight' in checkpoint['state_dict']
    assert glob(osp.join(trained_mini, 'best_mIoU_iter_*.pth'))


def test_stop_and_resume_ends_where_an_unbroken_run_ends(
        hypersim_root, tmp_path):
    whole, parts = str(tmp_path / 'whole'), str(tmp_path / 'parts')
    # no shuffling, augmentation or dropout: the random state is not part of
    # an mmengine checkpoint. Every batch is the whole data set.
    config = str(tmp_path / 'config.py')
    with open(config, 'w') as file:
        file.write(f"""
_base_ = ['{osp.join(ROOT, MINI_CONFIG)}']
train_dataloader = dict(
    sampler=dict(shuffle=False),
    dataset=dict(pipeline=[
        dict(type='genpercept_mm.LoadHypersimImage'),
        dict(type='genpercept_mm.LoadHypersimSemantic'),
        dict(type='PackSegInputs')]))
model = dict(decode_head=dict(dropout_ratio=0),
             auxiliary_head=dict(dropout_ratio=0))
""")
    options = dict(NO_PICTURES, **{'train_dataloader.batch_size': 3})
    four = dict(options, **{'train_cfg.max_iters': 4,
                            'train_cfg.val_interval': 4})
    train(whole, hypersim_root, options=four, config=config)
    train(parts, hypersim_root, options=options, config=config)
    done = train(parts, hypersim_root, '--resume', options=four,
                 config=config)
    assert 'resumed epoch: 0, iter: 2' in done.stdout + done.stderr
    expected, resumed = final_losses(whole), final_losses(parts)
    assert sorted(expected) == sorted(resumed) == [1, 2, 3, 4]
    assert resumed == pytest.approx(expected, rel=1e-4)
    assert expected[4] < expected[1]
    states = [torch.load(osp.join(folder, 'iter_4.pth'), weights_only=True)
              for folder in (whole, parts)]
    for key, value in states[0]['state_dict'].items():
        torch.testing.assert_close(
            states[1]['state_dict'][key], value, rtol=1e-3, atol=1e-5)
    histories = [state['message_hub']['log_scalars']['train/loss'][
        'log_history'] for state in states]
    assert len(histories[0]) == 4
    assert histories[1] == pytest.approx(histories[0], rel=1e-4)


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(hypersim_root, tmp_path):
    """In the logs of both, the evaluation of three frames included."""
    config = MINI_CONFIG.replace('.py', '_group-norm.py')
    one, two = str(tmp_path / 'one'), str(tmp_path / 'two')
    train(one, hypersim_root, options=NO_PICTURES, config=config)
    processes.start()
    python = processes.write_executable(str(tmp_path / 'python'))
    done = subprocess.run(
        [python, '-m', 'torch.distributed.run', '--standalone',
         '--nproc_per_node=2', 'tools/train.py', config, '--launcher',
         'pytorch', '--work-dir', two,
         *mini_options(hypersim_root, **NO_PICTURES)],
        env=processes.environment(), capture_output=True, text=True)
    log = done.stdout + done.stderr
    assert done.returncode == 0, log
    assert 'Distributed training: True' in log
    assert 'A step has 8 images: 2 micro batch(es) of 2 on 2 device' in log
    assert osp.isfile(osp.join(two, 'iter_2.pth'))
    losses = final_losses(one)
    assert sorted(losses) == [1, 2]
    assert final_losses(two) == pytest.approx(losses, rel=1e-5)
    assert validation(two) == pytest.approx(validation(one), rel=1e-5)


@pytest.mark.nightly
@pytest.mark.slow
def test_full_mmcv_gives_the_same_losses(hypersim_root, tmp_path, full_mmcv):
    losses = []
    for name, path in (('lite', []), ('full', [full_mmcv])):
        work_dir = str(tmp_path / name)
        train(work_dir, hypersim_root, options=NO_PICTURES, python_path=path,
              hosts=False)
        losses.append(final_losses(work_dir))
    assert sorted(losses[0]) == [1, 2]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.slow
@pytest.mark.nightly
def test_mmsegs_own_tool_runs_our_config(hypersim_root, tmp_path):
    """What `mim train mmsegmentation <config>` starts."""
    run_python('-c', HOST_TOOL.format(host='mmseg'), MINI_CONFIG,
               '--work-dir', str(tmp_path), *mini_options(
                   hypersim_root, **NO_PICTURES), hosts=False)
    assert (tmp_path / 'iter_2.pth').exists()


PLAIN = '''
_base_ = ['{base}']
model = dict(
    backbone=dict(_delete_=True, type='genpercept_mm.SDUNet', arch='mini'),
    {neck})
'''


@pytest.mark.slow
@pytest.mark.parametrize('scope, base, neck', [
    ('mmseg', 'mmseg::fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py',
     'pretrained=None, decode_head=dict(in_channels=96, channels=16, '
     "norm_cfg=dict(type='BN')), auxiliary_head=dict(in_channels=96, "
     "channels=16, norm_cfg=dict(type='BN'))"),
    ('mmdet', 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
     'neck=dict(in_channels=[32, 64, 96, 96])'),
    ('mmpose', 'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
     'td-hm_res50_8xb64-210e_coco-256x192.py', 'head=dict(in_channels=96)'),
])
def test_host_configs_that_only_name_the_type(
        run_python, tmp_path, scope, base, neck):
    """Build and run from the host's scope, with no custom_imports; only
    compat is imported first, as our tools do."""
    config = tmp_path / 'config.py'
    config.write_text(PLAIN.format(base=base, neck=neck))
    done = run_python('-c', f'''
import genpercept_mm, torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
cfg = Config.fromfile({str(config)!r})
assert 'custom_imports' not in cfg
init_default_scope({scope!r})
model = MODELS.build(cfg.model)
outs = model.backbone(torch.zeros(1, 3, 64, 64))
print(type(model).__name__, [tuple(out.shape) for out in outs])
''', hosts=False)
    assert '(1, 32, 8, 8), (1, 64, 8, 8), (1, 96, 4, 4), (1, 96, 2, 2)' in (
        done.stdout)


# -- what users get wrong -----------------------------------------------------


def damage_semantic(root, change):
    path = frame_path(root, 'ai_001_001', 'cam_00', 0, 'semantic')
    change(path)
    # the damaged frame is the only one of its split
    for frame in (1, 2):
        for kind in ('semantic', 'tonemap'):
            os.remove(frame_path(root, 'ai_001_001', 'cam_00', frame, kind))
    return {'train_dataloader.dataset.missing': 'skip'}


def truncate(root):
    def change(path):
        with open(path, 'r+b') as file:
            file.truncate(osp.getsize(path) // 2)
    return damage_semantic(root, change)


def id_out_of_range(root):
    def change(path):
        with h5py.File(path, 'r+') as file:
            file['dataset'][3, 4] = 77
    return damage_semantic(root, change)


def other_size(root):
    def change(path):
        cv2.imwrite(frame_path(root, 'ai_001_001', 'cam_00', 0, 'tonemap'),
                    np.zeros((32, 40, 3), np.uint8))
    return damage_semantic(root, change)


def no_root(root):
    return {'train_dataloader.dataset.data_root': 'data/nowhere'}


def unknown_key(root):
    return {'model.backbone.timesteps': 1}


def no_unet(root):
    os.makedirs(osp.join(root, 'sd/vae'))
    with open(osp.join(root, 'sd/vae/config.json'), 'w') as file:
        file.write('{}')
    return {'model.backbone.pretrained': osp.join(root, 'sd')}


@pytest.mark.slow
@pytest.mark.parametrize('damage, messages', [
    (no_root, ["data_root 'data/nowhere' does not exist",
               'metadata_images_split_scene_v1.csv',
               'configs/mini/genpercept_upernet_mini-hypersim.py']),
    (truncate, ['scene ai_001_001, camera cam_00, frame 0',
                'cannot be read as HDF5', 'truncated']),
    (id_out_of_range, ['frame 0', 'label id 77', 'NYU40 ids are 1..40']),
    (other_size, ['frame 0', '(32, 40)', '(48, 64)', 'must be equal']),
    (unknown_key, ['SDUNet', "unexpected keyword argument 'timesteps'"]),
    (no_unet, ['has no unet/config.json', 'diffusers folder']),
])
def test_bad_input_stops_with_its_own_message(
        own_hypersim_root, tmp_path, damage, messages):
    options = dict(damage(own_hypersim_root),
                   **{'train_dataloader.batch_size': 1})
    done = train(str(tmp_path / 'work'), own_hypersim_root, check=False,
                 options=options)
    assert done.returncode
    last = done.stderr[-3000:]
    for message in messages:
        assert message in last


@pytest.mark.nightly
@pytest.mark.slow
def test_full_disk_while_saving_keeps_the_old_checkpoint(
        hypersim_root, trained_mini, tmp_path):
    """The second checkpoint meets a limit on file sizes, which the kernel
    reports to a write as a full disk would be."""
    work_dir = str(tmp_path / 'full')
    options = dict(NO_PICTURES, **{
        'default_hooks.checkpoint.max_keep_ckpts': 1,
        'default_hooks.checkpoint.interval': 2})
    train(work_dir, hypersim_root, options=options)
    before = open(osp.join(work_dir, 'iter_2.pth'), 'rb').read()
    limit = len(before) // 2
    code = (f'import resource, runpy, sys; resource.setrlimit('
            f'resource.RLIMIT_FSIZE, ({limit}, {resource.RLIM_INFINITY}));'
            'sys.argv[0] = "tools/train.py"; sys.path.insert(0, "tools"); '
            'runpy.run_path("tools/train.py", run_name="__main__")')
    done = run_python(
        '-c', code, MINI_CONFIG, '--work-dir', work_dir, '--resume',
        *mini_options(hypersim_root, **dict(
            options, **{'train_cfg.max_iters': 4})), check=False)
    assert done.returncode
    assert re.search('cannot write .*iter_4.pth .* intact.*--resume',
                     done.stderr)
    assert not glob(osp.join(work_dir, '*.part'))
    assert not osp.exists(osp.join(work_dir, 'iter_4.pth'))
    assert open(osp.join(work_dir, 'iter_2.pth'), 'rb').read() == before
    train(work_dir, hypersim_root, '--resume', options=dict(
        options, **{'train_cfg.max_iters': 4}))
    assert osp.isfile(osp.join(work_dir, 'iter_4.pth'))


def test_auto_scale_lr_without_a_base_is_refused():
    done = run_python('tools/train.py', MINI_CONFIG, '--auto-scale-lr',
                      '--cfg-options', 'auto_scale_lr=None', check=False)
    assert 'base_batch_size' in done.stderr and done.returncode


@pytest.fixture
def main(monkeypatch):
    """tools/train.py in this process, with a runner that does one thing."""

    def run(train, *flags, config=MINI_CONFIG):
        spec = importlib.util.spec_from_file_location(
            'train_tool', 'tools/train.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        given = []

        def from_cfg(cfg):
            given.append(cfg)
            return SimpleNamespace(model=torch.nn.Linear(1, 1), train=train)

        monkeypatch.setattr(module, 'Runner', SimpleNamespace(
            from_cfg=from_cfg))
        monkeypatch.setattr('sys.argv', ['train.py', config, *flags])
        module.main()
        return given[0]

    return run


def interrupted():
    raise KeyboardInterrupt


def test_ctrl_c_says_how_to_go_on(main, capsys):
    """With the status that shells give to a process that it ends."""
    with pytest.raises(SystemExit) as error:
        main(interrupted, '--work-dir', 'some/where')
    assert error.value.code == 128 + signal.SIGINT
    text = capsys.readouterr().err
    assert text == ('Interrupted. Continue with --resume --work-dir '
                    'some/where\n')


def test_a_users_hooks_come_beside_ours(main, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(f"_base_ = ['{osp.join(ROOT, MINI_CONFIG)}']\n"
                      "custom_hooks = [dict(type='EMAHook')]\n"
                      "default_hooks = dict(finite_guard=None)\n")
    cfg = main(lambda: None, config=str(config))
    assert [hook.type for hook in cfg.custom_hooks] == ['EMAHook']
    kinds = [hook.type.split('.')[-1]
             for hook in cfg.default_hooks.values() if hook]
    for name in ('ResumeDataHook', 'ResumeConfigHook', 'FiniteGuardHook',
                 'LabelCheckHook', 'SafeCheckpointHook'):
        assert kinds.count(name) == 1, name


def test_parts_that_contradict_each_other_stop_before_anything(main):
    with pytest.raises(ValueError, match='num_classes is 40, and '
                       'train_dataloader.dataset.metainfo has 2 classes'):
        main(interrupted, '--cfg-options',
             'train_dataloader.dataset.metainfo.classes=a,b')
