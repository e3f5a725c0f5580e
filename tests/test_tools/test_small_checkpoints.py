"""Small checkpoints of a LoRA training through the command line."""
import json
import os.path as osp
import re
from glob import glob

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT, run_python
from diffusers import AutoencoderKL, UNet2DConditionModel

from genpercept_mm.models.utils.sd_archs import ARCHS


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    """Matting on three noisy images, LoRA of rank 2 on random "pretrained"
    weights."""
    tmp_path = tmp_path_factory.mktemp('trained_weights')
    torch.manual_seed(1)
    UNet2DConditionModel(**ARCHS['mini']['unet']).save_pretrained(
        tmp_path / 'sd/unet')
    AutoencoderKL(**ARCHS['mini']['vae']).save_pretrained(
        tmp_path / 'sd/vae')
    np.save(tmp_path / 'prompt.npy', np.ones((2, 32), np.float32))
    rng = np.random.default_rng(0)
    for folder in ('images', 'labels'):
        (tmp_path / folder).mkdir()
        for index in range(3):
            cv2.imwrite(str(tmp_path / f'{folder}/{index}.png'), rng.integers(
                0, 255, (48, 64, 3)[:3 if folder == 'images' else 2],
                dtype=np.uint8))
    path = tmp_path / 'config.py'
    path.write_text(f"""
_base_ = ['{ROOT}/configs/mini/genpercept_vae_mini-p3m10k-matting.py']
model = dict(
    backbone=dict(pretrained='{tmp_path}/sd', lora_rank=2, freeze_vae=True,
                  prompt_embeds='{tmp_path}/prompt.npy'),
    decode_head=dict(pretrained='{tmp_path}/sd', decoder='frozen'))
custom_hooks = [dict(type='genpercept_mm.TrainedWeightsHook')]
pairs = dict(
    _delete_=True, type='genpercept_mm.FolderPairsDataset',
    data_root='{tmp_path}', img_dir='images', label_dir='labels',
    label='alpha')
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(
    **loader, dataset=dict(**pairs, pipeline={{{{_base_.train_pipeline}}}}))
val_dataloader = dict(**loader, dataset=dict(
    **pairs, pipeline={{{{_base_.test_pipeline}}}}, test_mode=True))
test_dataloader = val_dataloader
train_cfg = dict(max_iters=2, val_interval=2)
param_scheduler = []
optim_wrapper = dict(optimizer=dict(lr=0.01))
""")
    return path


def metrics(work_dir):
    """Numbers of the last test in a work dir."""
    path = max(glob(osp.join(work_dir, '*', '*.json')), key=osp.getmtime)
    with open(path) as file:
        values = json.load(file)
    return {key: value for key, value in values.items()
            if not key.endswith('time')}


@pytest.fixture(scope='module')
def trained(config):
    """Folder of the config, with the work dir of a training, and its log."""
    root = osp.dirname(config)
    done = run_python('tools/train.py', config, '--work-dir',
                      osp.join(root, 'work'))
    return root, done.stdout + done.stderr


def test_a_small_checkpoint_tests_as_the_training_did(trained):
    root, text = trained
    assert 'TrainedWeightsHook: checkpoints hold ' in text
    validated, = re.findall(r'Iter\(val\).*mad: (\S+)', text)
    best, = glob(osp.join(root, 'work', 'best_mad_*.pth'))
    last = osp.join(root, 'work', 'iter_2.pth')
    fixed = sum(osp.getsize(path) for path in glob(
        osp.join(root, 'sd', '*', '*.safetensors')))
    # with Adam's two moments of each trained value
    assert osp.getsize(last) < fixed / 5
    assert osp.getsize(best) < fixed / 5
    states = [torch.load(path, weights_only=True)['state_dict']
              for path in (best, last)]
    assert states[0].keys() == states[1].keys()
    assert all('.lora_' in key or key == 'backbone.prompt_embeds'
               for key in states[0])

    run_python('tools/test.py', osp.join(root, 'config.py'), best,
               '--work-dir', osp.join(root, 'small'))
    assert f'{metrics(osp.join(root, "small"))["mad"]:.4f}' == validated


@pytest.mark.slow
def test_a_merged_checkpoint_tests_the_same(trained):
    root, _ = trained
    config = osp.join(root, 'config.py')
    small, merged = (osp.join(root, name)
                     for name in ('work/iter_2.pth', 'merged.pth'))
    run_python('tools/model_converters/merge_lora.py', small, merged)
    assert osp.getsize(small) < osp.getsize(merged) / 5
    run_python('tools/test.py', config, small, '--work-dir',
               osp.join(root, 'again'))
    run_python('tools/test.py', config, merged, '--work-dir',
               osp.join(root, 'whole'), '--cfg-options',
               'model.backbone.lora_rank=0')
    expected = metrics(osp.join(root, 'again'))
    assert len(expected) > 1
    assert metrics(osp.join(root, 'whole')) == pytest.approx(
        expected, rel=1e-3)
