import os.path as osp
from glob import glob

import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT, assert_near, run_python
from diffusers import AutoencoderKL
from mmengine.config import Config
from mmengine.registry import init_default_scope

from genpercept_mm.models import (
    SDUNet,
    TinyAutoencoderDistiller,
    VAEDecodeHead,
)
from genpercept_mm.models.utils.diffusers_folder import BUNDLED
from genpercept_mm.registry import MODELS

CONFIGS = sorted(glob(f'{ROOT}/configs/distillation/*.py'))
MINI = next(path for path in CONFIGS if 'mini' in path)


@pytest.fixture(scope='module')
def distiller():
    torch.manual_seed(0)
    model = TinyAutoencoderDistiller('taesd_mini', 'mini', 'mini')
    model.init_weights()
    return model.train()


def test_losses(distiller):
    """With diffusers' whole VAE, at a size with half a cell."""
    images = torch.rand(2, 3, 36, 48) * 2 - 1
    losses = distiller(images, mode='loss')
    vae = AutoencoderKL.from_pretrained(osp.join(BUNDLED['mini'], 'vae'),
                                        torch_dtype=torch.float32)
    with torch.no_grad():
        target = vae.encode(images).latent_dist.mode() * .18215
        latents = distiller(images)
        pictures = distiller.small.decoder(target)
    assert latents.shape == (2, 4, 5, 6) and target.shape == (2, 4, 4, 6)
    assert_near(losses['loss_latent'],
                (latents[:, :, :4] - target).square().mean())
    error = pictures - images[:, :, :32]
    assert_near(losses['loss_picture'],
                error.abs().mean() + F.l1_loss(
                    error[:, :, 1:], error[:, :, :-1])
                + F.l1_loss(error[..., 1:], error[..., :-1]))
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in distiller.small.parameters())
    assert all(p.grad is None for p in distiller.vae.parameters())
    assert not distiller.vae.training


def test_checkpoints_are_stem_and_decoder(distiller, tmp_path):
    path = str(tmp_path / 'taesd.pth')
    state = distiller.state_dict()
    assert all(key.startswith('small.') for key in state)
    torch.save(dict(state_dict=state, meta={}), path)
    backbone = SDUNet(arch='mini', pretrained='mini', stem='taesd_mini',
                      stem_weights=path)
    head = VAEDecodeHead(dict(type='AffineDepthCodec'), arch='taesd_mini',
                         pretrained=path)
    images = torch.rand(1, 3, 16, 24) * 2 - 1
    with torch.no_grad():
        for part in (backbone, head):
            part.init_weights()
        latents = distiller(images)
        assert torch.equal(backbone.encode(images), latents)
        assert torch.equal(
            head.decode(latents),
            distiller.small.decoder(latents).mean(1, keepdim=True))
    other = TinyAutoencoderDistiller('taesd_mini', 'mini')
    other.load_state_dict(state)
    assert torch.equal(other(images), latents)


@pytest.mark.parametrize('path', CONFIGS, ids=osp.basename)
def test_configs_build(path):
    cfg = Config.fromfile(path)
    init_default_scope('mmseg')
    cfg.model.update(teacher_arch='mini', pretrained=None)
    model = MODELS.build(cfg.model)
    assert len(model(torch.zeros(1, 3, 16, 16), mode='loss')) == 2
    with pytest.raises(ValueError, match="mode 'predict' is not defined"):
        model(torch.zeros(1, 3, 16, 16), mode='predict')


@pytest.mark.nightly
def test_the_command(hypersim_root, tmp_path):
    run_python('tools/train.py', MINI, '--work-dir', tmp_path,
               '--cfg-options', f'train_dataloader.dataset.data_root='
               f'{hypersim_root}',
               'train_cfg.max_iters=2',
               'train_dataloader.num_workers=0',
               'train_dataloader.persistent_workers=False')
    backbone = SDUNet(arch='mini', pretrained='mini', stem='taesd_mini',
                      stem_weights=str(tmp_path / 'iter_2.pth'))
    backbone.init_weights()
