"""mmdet and mmpose configs through our tools, on two real COCO images."""
import os.path as osp
import re

import pytest
from conftest import HOST_TOOL, run_python

from genpercept_mm.compat import torchvision_problem

BACKBONE = "dict(_delete_=True, type='genpercept_mm.SDUNet', arch='mini')"
LOADER = ('batch_size=2, num_workers=0, persistent_workers=False, '
          'batch_sampler=None, ')

MMPOSE = '''
_base_ = ['mmpose::body_2d_keypoint/topdown_heatmap/coco/'
          'td-hm_res50_8xb64-210e_coco-256x192.py']
model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone={backbone},
    head=dict(in_channels=96, deconv_out_channels=(16, 16, 16)))
data = dict(data_root='{root}', ann_file='{ann}',
            data_prefix=dict(img='val2017/'), bbox_file=None)
train_dataloader = dict({loader} dataset=data)
val_dataloader = dict({loader} dataset=data)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='{root}/{ann}')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1, val_interval=1)
'''
MMDET = '''
_base_ = ['mmdet::retinanet/retinanet_r50_fpn_1x_coco.py']
model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict({backbone}, feature_type='pre_upsample'),
    neck=dict(in_channels=[32, 64, 96, 96], start_level=0),
    bbox_head=dict(num_classes=1, stacked_convs=1, in_channels=256),
    # two iterations from random weights give low scores
    test_cfg=dict(score_thr=0.0))
meta = dict(classes=('person', ))
data = dict(data_root='{root}', ann_file='{ann}', metainfo=meta,
            data_prefix=dict(img='val2017/'))
resize = dict(type='Resize', scale=(128, 128), keep_ratio=True)
train_dataloader = dict({loader} dataset=dict(data, pipeline=[
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True), resize,
    dict(type='PackDetInputs')]))
val_dataloader = dict({loader} dataset=dict(data, pipeline=[
    dict(type='LoadImageFromFile'), resize,
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=(
        'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='{root}/{ann}')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1, val_interval=1)
'''


def write_config(host, template, samples, folder):
    path = folder / 'config.py'
    path.write_text(template.format(
        backbone=BACKBONE, loader=LOADER.replace('batch_sampler=None, ', '')
        if host == 'mmpose' else LOADER, root=osp.join(samples, 'coco'),
        ann='annotations/person_keypoints_val2017.json'))
    return path


@pytest.mark.slow
@pytest.mark.parametrize('host, template', [
    ('mmpose', MMPOSE), ('mmdet', MMDET)])
def test_trains_and_tests(samples, tmp_path, host, template):
    pytest.importorskip(host)
    config = write_config(host, template, samples, tmp_path)
    work_dir = str(tmp_path / 'work')
    done = run_python('tools/train.py', config, '--work-dir', work_dir)
    log = done.stdout + done.stderr
    score = r'coco/AP: ([\d.-]+)' if host == 'mmpose' else (
        r'coco/bbox_mAP: ([\d.-]+)')
    assert re.search(r'Epoch\(val\) \[1\].*' + score, log), log[-2000:]
    done = run_python(
        'tools/test.py', config, osp.join(work_dir, 'epoch_1.pth'),
        '--work-dir', work_dir, '--show-dir', str(tmp_path / 'show'))
    assert re.search(r'Epoch\(test\).*' + score, done.stdout + done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize('host, template', [
    ('mmpose', MMPOSE),
    pytest.param('mmdet', MMDET, marks=pytest.mark.nightly)])
def test_the_hosts_own_tool_needs_no_import_with_compiled_mmcv(
        samples, full_mmcv, tmp_path, host, template):
    """The config names the type and nothing else of ours."""
    pytest.importorskip(host)
    if host == 'mmpose' and torchvision_problem():
        pytest.skip('mmpose by itself needs torchvision')
    config = write_config(host, template, samples, tmp_path)
    assert 'custom_imports' not in config.read_text()
    done = run_python('-c', HOST_TOOL.format(host=host), config, '--work-dir',
                      tmp_path / 'work', python_path=[full_mmcv],
                      hosts=False)
    log = done.stdout + done.stderr
    assert re.search(r'Epoch\(train\).*loss: ', log)
    assert osp.isfile(tmp_path / 'work/epoch_1.pth')
