"""Models from configs, checkpoints and folders."""
import shutil

import pytest
import torch
from conftest import MINI_CONFIG, make_once
from mmengine.config import Config
from weights import write_checkpoint

from genpercept_mm.apis import init_model
from genpercept_mm.apis.model_loading import read_model

CONFIGS = dict(
    depth='configs/mini/genpercept_vae_mini-hypersim-depth.py',
    sem_seg=MINI_CONFIG)


@pytest.fixture(scope='session')
def checkpoints(tmp_path_factory):
    def write(folder):
        for name, config in CONFIGS.items():
            write_checkpoint(f'{folder}/{name}.pth', config)

    folder = make_once(tmp_path_factory, 'init_model', write)
    return {name: f'{folder}/{name}.pth' for name in CONFIGS}


def test_a_config_needs_weights(checkpoints):
    with pytest.raises(ValueError, match='config alone predicts nothing'):
        init_model(CONFIGS['depth'])
    inputs = torch.rand(1, 3, 24, 32) * 2 - 1
    expected, = init_model(checkpoints['depth'], device='cpu').predict(inputs)
    assert expected.pred_depth_map.data.std() > 0
    for model in (CONFIGS['depth'], Config.fromfile(CONFIGS['depth']),
                  Config.fromfile(CONFIGS['depth']).to_dict()):
        built = init_model(model, checkpoints['depth'], 'cpu')
        assert not built.training and built.cfg.model.type.endswith(
            'DenseEstimator')
        sample, = built.predict(inputs)
        assert torch.equal(sample.pred_depth_map.data,
                           expected.pred_depth_map.data)


def test_weights_of_another_config_are_refused(checkpoints):
    with pytest.raises(RuntimeError, match='does not belong to this config'):
        init_model(CONFIGS['depth'], checkpoints['sem_seg'])


def test_a_checkpoint_runs_no_code(tmp_path, checkpoints):
    checkpoint = torch.load(checkpoints['depth'], weights_only=True)
    checkpoint['meta']['cfg'] += f'\nopen({str(tmp_path / "x")!r}, "w")\n'
    torch.save(checkpoint, tmp_path / 'evil.pth')
    with pytest.raises(ValueError, match='evil.pth.* is more than values'):
        init_model(str(tmp_path / 'evil.pth'))
    assert not (tmp_path / 'x').exists()


def test_unknown_models_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="'none.pth' is not a config"):
        init_model('none.pth')
    torch.save(dict(state_dict=dict(a=torch.ones(2))), tmp_path / 'bare.pth')
    with pytest.raises(ValueError, match='bare.pth does not hold its config'):
        init_model(str(tmp_path / 'bare.pth'))


def test_a_small_stem_comes_from_the_checkpoint(tmp_path):
    """Its weights are in the checkpoint, as those of pretrained are."""
    from diffusers import AutoencoderTiny
    from mini_models import build

    from genpercept_mm.models.utils.tiny_autoencoder import TINY_ARCHS
    AutoencoderTiny(**TINY_ARCHS['taesd_mini']).save_pretrained(
        tmp_path / 'stem')
    cfg = Config.fromfile(
        'configs/mini/genpercept_readout_mini-hypersim-depth.py')
    cfg.merge_from_dict({
        'model.backbone.stem': 'taesd_mini',
        'model.backbone.stem_weights': str(tmp_path / 'stem')})
    path = str(tmp_path / 'depth.pth')
    trained = build('small-stem')
    torch.save(dict(state_dict=trained.state_dict(),
                    meta=dict(cfg=cfg.pretty_text)), path)
    shutil.rmtree(tmp_path / 'stem')
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(init_model(path, device='cpu').encode_decode(
            image, None), trained.encode_decode(image, None))


def test_outputs_called_like_a_model_do_not_hide_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'mini-depth'
    folder.mkdir()
    (folder / 'photo_depth.png').write_bytes(b'x')
    _, checkpoint, source = read_model('mini-depth')
    assert source != 'mini-depth' and checkpoint['state_dict']
    (folder / 'unet').mkdir()
    (folder / 'unet' / 'diffusion_pytorch_model.safetensors').touch()
    with pytest.raises((OSError, ValueError), match='mini-depth'):
        read_model('mini-depth')


def test_components_of_ones_own_must_be_imported_first(tmp_path, checkpoints):
    checkpoint = torch.load(checkpoints['depth'], weights_only=True)
    checkpoint['meta']['cfg'] = checkpoint['meta']['cfg'].replace(
        'AffineDepthCodec', 'MyOwnCodec')
    torch.save(checkpoint, tmp_path / 'own.pth')
    with pytest.raises(ValueError, match=(
            r'own\.pth: .*MyOwnCodec is not in .*custom_imports')):
        init_model(str(tmp_path / 'own.pth'))
