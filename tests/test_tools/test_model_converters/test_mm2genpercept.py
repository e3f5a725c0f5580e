import json
import os
import sys

import genpercept2mm
import mm2genpercept
import pytest
import torch
from conftest import assert_near, run_python
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from families import Family
from mmengine.registry import init_default_scope
from safetensors.torch import load_file
from weights import UNET_FILE

from genpercept_mm.apis import init_model
from genpercept_mm.converters.genpercept import TASKS
from genpercept_mm.converters.recognition import convert_any
from genpercept_mm.registry import MODELS

TOOL = 'tools/model_converters/mm2genpercept.py'
WIDTHS = (32, 64, 96, 96)


@pytest.fixture
def run(monkeypatch):
    def run_tool(tool, *args):
        monkeypatch.setattr(sys, 'argv', ['', *map(str, args)])
        tool.main()

    return run_tool


def build(task='normal', dpt=False, **backbone):
    init_default_scope('mmseg')
    torch.manual_seed(5)
    codec = TASKS[task]
    head = (dict(type='genpercept_mm.DPTDecodeHead', codec=codec,
                 in_channels=WIDTHS, channels=16, head_channels=8) if dpt
            else dict(type='genpercept_mm.VAEDecodeHead', arch='mini',
                      codec=codec))
    model = MODELS.build(dict(
        type='genpercept_mm.DenseEstimator',
        backbone=dict(
            type='genpercept_mm.SDUNet', arch='mini',
            out_indices=(0, 1, 2, 3) if dpt else (4, ), **backbone),
        decode_head=head)).eval()
    for name, value in model.named_parameters():
        if 'lora_B' in name:
            torch.nn.init.normal_(value, std=0.1)
    model.backbone.prompt_embeds = torch.randn(1, 3, 32)
    return model


@pytest.fixture(scope='module')
def model():
    return build()


def save(model, path, **meta):
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


def same(ours, theirs):
    assert set(ours) == set(theirs)
    for key, value in theirs.items():
        assert torch.equal(ours[key], value), key


def loads_back(run, folder, out, task, expected, *args):
    run(genpercept2mm, folder, '--task', task, '--out', out, *args)
    same(torch.load(out, weights_only=True)['state_dict'], expected)


def test_vae_model_there_and_back(run, model, tmp_path):
    folder = tmp_path / 'folder'
    run(mm2genpercept, save(model, tmp_path / 'in.pth'), folder)
    assert sorted(os.listdir(folder)) == [
        'model_index.json', 'prompt_embeds.safetensors', 'scheduler', 'unet',
        'vae']
    loads_back(run, folder, tmp_path / 'out.pth', 'normal',
               model.state_dict())


def test_diffusers_loads_the_folder(run, model, tmp_path):
    """The classes of diffusers compute what the model computes."""
    folder = str(tmp_path / 'folder')
    run(mm2genpercept, save(model, tmp_path / 'in.pth'), folder)
    parts = {}
    for part, cls in (('unet', UNet2DConditionModel),
                      ('vae', AutoencoderKL)):
        parts[part], info = cls.from_pretrained(
            folder, subfolder=part, output_loading_info=True)
        assert not info['missing_keys'] and not info['unexpected_keys']
    scheduler = DDIMScheduler.from_pretrained(folder, subfolder='scheduler')
    with open(f'{folder}/model_index.json') as file:
        index = json.load(file)
    assert index['_class_name'] == 'GenPerceptPipeline'
    assert index['unet'] == ['diffusers', 'UNet2DConditionModel']

    x = torch.rand(1, 3, 75, 101) * 2 - 1
    prompt = load_file(f'{folder}/prompt_embeds.safetensors')
    with torch.no_grad():
        latent = parts['vae'].encode(x).latent_dist.mode() * 0.18215
        scheduler.set_timesteps(1)
        assert scheduler.timesteps.tolist() == [1]
        out = parts['unet'](
            latent, 1, encoder_hidden_states=prompt['prompt_embeds']).sample
        # all betas 1 and v-prediction: the clean latent is minus the output
        clean = scheduler.step(out, 1, latent).pred_original_sample
        y = parts['vae'].decode(clean / 0.18215).sample
        ours = model.decode_head(model.extract_feat(x))
    # float32 sums differ between CPUs by a share of the largest value
    torch.testing.assert_close(
        ours, y, atol=1e-5 * y.abs().max().item(), rtol=0)


def test_dpt_model_there_and_back(run, tmp_path):
    model = build('disparity', dpt=True)
    base = AutoencoderKL.from_config(model.backbone.vae.config)
    base.save_pretrained(tmp_path / 'sd/vae')
    path = save(model, tmp_path / 'in.pth', arch='mini')
    with pytest.raises(SystemExit, match='no VAE decoder'):
        run(mm2genpercept, path, tmp_path / 'folder')
    run(mm2genpercept, path, tmp_path / 'folder', '--base',
        tmp_path / 'sd')
    head = load_file(tmp_path / 'folder/dpt_head_identity/model.safetensors')
    same(head, model.decode_head.state_dict())
    vae, info = AutoencoderKL.from_pretrained(
        tmp_path / 'folder', subfolder='vae', output_loading_info=True)
    assert not info['missing_keys'] and not info['unexpected_keys']
    same(vae.decoder.state_dict(), base.decoder.state_dict())
    same(vae.encoder.state_dict(), model.backbone.vae.encoder.state_dict())
    loads_back(run, tmp_path / 'folder', tmp_path / 'out.pth',
               'disparity-dpt', model.state_dict())


def test_lora_model(run, tmp_path):
    model = build(lora_rank=2)
    path = save(model, tmp_path / 'in.pth')
    run(mm2genpercept, path, tmp_path / 'peft', '--keep-lora')
    loads_back(run, tmp_path / 'peft', tmp_path / 'out.pth', 'normal',
               model.state_dict(), '--keep-lora')
    run(mm2genpercept, path, tmp_path / 'merged')
    unet = UNet2DConditionModel.from_pretrained(
        tmp_path / 'merged', subfolder='unet')
    latent = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        out = unet(latent, 1,
                   encoder_hidden_states=model.backbone.prompt_embeds).sample
        ours = model.backbone.run_unet(latent)[4]
    torch.testing.assert_close(
        -out, ours, atol=1e-5 * out.abs().max().item(), rtol=0)


def test_the_arch_comes_from_the_config_that_training_stored(
        run, model, tmp_path):
    """Names are compared before shapes, in which heads do not show."""
    arch = dict(unet=dict(model.backbone.unet.config, attention_head_dim=2),
                vae=dict(model.backbone.vae.config))
    text = f'model = dict(backbone=dict(arch={arch!r}))\n'
    path = save(model, tmp_path / 'in.pth', cfg=text)
    run(mm2genpercept, path, tmp_path / 'stored')
    (tmp_path / 'config.py').write_text(text)
    run(mm2genpercept, save(model, tmp_path / 'bare.pth'),
        tmp_path / 'given', '--config', tmp_path / 'config.py')
    for folder in ('stored', 'given'):
        with open(tmp_path / folder / 'unet/config.json') as file:
            assert json.load(file)['attention_head_dim'] == 2


def test_nothing_is_written_when_something_is_wrong(run, model, tmp_path):
    state = model.state_dict()
    del state['backbone.vae.quant_conv.bias']
    state['neck.conv.weight'] = torch.zeros(1)
    torch.save(dict(state_dict=state), tmp_path / 'in.pth')
    with pytest.raises(SystemExit) as info:
        run(mm2genpercept, tmp_path / 'in.pth', tmp_path / 'folder')
    for words in ('nothing written', 'quant_conv.bias is missing',
                  'neck.conv.weight has no place'):
        assert words in info.value.code
    assert os.listdir(tmp_path) == ['in.pth']
    torch.save(state, tmp_path / 'in.pth')
    with pytest.raises(SystemExit, match='no state_dict'):
        run(mm2genpercept, tmp_path / 'in.pth', tmp_path / 'folder')
    os.makedirs(tmp_path / 'folder/unet')
    with pytest.raises(SystemExit, match='not empty'):
        run(mm2genpercept, tmp_path / 'in.pth', tmp_path / 'folder')


@pytest.mark.slow
def test_the_command_line(model, tmp_path):
    path = save(model, tmp_path / 'in.pth')
    done = run_python(TOOL, path, tmp_path / 'folder')
    assert "'unet', 'vae'" in done.stdout
    assert load_file(tmp_path / 'folder/unet' / UNET_FILE)


def latent(path):
    network = init_model(str(path), device='cpu')
    x = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return network.backbone(x * 2 - 1)[0]


def test_a_model_that_predicts_the_latent_itself(run, tmp_path, capsys):
    """Lotus; the layout's U-Nets give the negative one, at timestep 1."""
    source = Family(tmp_path / 'lotus-depth-d-v1-0', 4, True).folder
    convert_any(source).save(tmp_path / 'lotus.pth')
    with pytest.raises(SystemExit) as error:
        run(mm2genpercept, tmp_path / 'lotus.pth', tmp_path / 'out')
    assert 'timestep 999, which the folder cannot say' in str(error.value)
    assert not (tmp_path / 'out').exists()
    run(mm2genpercept, tmp_path / 'lotus.pth', tmp_path / 'out',
        '--timestep', 999)
    run(genpercept2mm, tmp_path / 'out', '--task', 'depth', '--timestep', 999,
        '--out', tmp_path / 'back.pth')
    assert_near(latent(tmp_path / 'back.pth'), latent(tmp_path / 'lotus.pth'))
    # which the layout does not say either
    assert 'clips the decoded channels before' in capsys.readouterr().out


def test_normals_of_other_axes_are_refused(run, tmp_path):
    source = Family(tmp_path / 'e2e-ft-normal', 8, False).folder
    convert_any(source, task='normal').save(tmp_path / 'in.pth')
    with pytest.raises(SystemExit, match="normals with axes='dsine'"):
        run(mm2genpercept, tmp_path / 'in.pth', tmp_path / 'out',
            '--timestep', 999)


def test_trained_weights_alone_are_told(run, model, tmp_path):
    path = save(model, tmp_path / 'in.pth', left_out={'backbone.x': 'y'})
    with pytest.raises(SystemExit, match='complete it with .*merge_lora'):
        run(mm2genpercept, path, tmp_path / 'out')
