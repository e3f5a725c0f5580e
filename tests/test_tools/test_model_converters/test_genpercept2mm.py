import json
import os
import shutil
import sys

import genpercept2mm
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import run_python
from diffusers import AutoencoderKL, UNet2DConditionModel
from mmengine.config import Config
from mmseg.structures import SegDataSample
from safetensors.torch import load_file, save_file
from weights import (
    ODD,
    UNET_FILE,
    random_head,
    with_old_names,
    write_text_encoder,
)

from genpercept_mm.models.utils.sd_archs import ARCHS
from genpercept_mm.registry import MODELS
from genpercept_mm.utils.nyu40 import NYU40

TOOL = 'tools/model_converters/genpercept2mm.py'
# The latent's, the U-Net's and the decoder's sizes are all rounded
SIZES = [(75, 101), (130, 100), (64, 96)]


class Official:
    """The folder of released models, with random weights by diffusers."""

    def __init__(self, root, arch):
        self.root = str(root)
        torch.manual_seed(3)
        self.unet = UNet2DConditionModel(**arch['unet']).eval()
        self.vae = AutoencoderKL(**arch['vae']).eval()
        width = arch['unet']['cross_attention_dim']
        self.prompt = torch.randn(77, width).half()
        with torch.no_grad():
            # outputs that fill the range and leave it
            self.unet.conv_out.weight.mul_(4)
            self.vae.quant_conv.weight.mul_(8)
            self.vae.decoder.conv_out.weight.mul_(4)
            for part in (self.vae.encoder, self.vae.decoder):
                attention = part.mid_block.attentions[0]
                attention.to_q.weight.mul_(4)
                attention.to_v.weight.mul_(4)
        self.vae.half().float()
        self.head = random_head(arch['unet']['block_out_channels'])

        for task in ('depth', 'normal', 'seg', 'dis', 'matting',
                     'disparity', 'disparity_dpt_head'):
            self.unet.save_pretrained(f'{root}/unet_{task}_v2')
        path = f'{root}/unet_disparity_dpt_head_v2/{UNET_FILE}'
        save_file({k: v for k, v in load_file(path).items()
                   if 'conv_out' not in k and 'conv_norm_out' not in k}, path)
        # as released: fp16 and the names of old diffusers
        os.makedirs(f'{root}/vae')
        self.vae.save_config(f'{root}/vae')
        save_file({k: v.half() for k, v in
                   with_old_names(self.vae.state_dict()).items()},
                  f'{root}/vae/{UNET_FILE}')
        os.makedirs(f'{root}/dpt_head_identity')
        save_file(self.head, f'{root}/dpt_head_identity/model.safetensors')
        np.save(f'{root}/empty_text_embed.npy', self.prompt.numpy())
        with open(f'{root}/model_index.json', 'w') as file:
            json.dump(dict(_class_name='GenPerceptPipeline'), file)

    @torch.no_grad()
    def run_unet(self, x, tokens=2):
        """Image latent, up-block outputs (finest first), U-Net output."""
        blocks = []
        hooks = [block.register_forward_hook(
            lambda m, i, o: blocks.insert(0, o))
            for block in self.unet.up_blocks]
        latent = self.vae.encode(x).latent_dist.mean * 0.18215
        out = self.unet(
            latent, 1,
            encoder_hidden_states=self.prompt[None, :tokens].float()).sample
        for hook in hooks:
            hook.remove()
        return latent, blocks, out

    @torch.no_grad()
    def decode(self, out):
        return self.vae.decode(-out / 0.18215).sample


def run_head(head, features):
    """DPT's fusion on the four up-block outputs, in functions."""
    def conv(x, name):
        weight = head[f'{name}.weight']
        return F.conv2d(x, weight, head.get(f'{name}.bias'),
                        padding=weight.shape[-1] // 2)

    def residual(x, name):
        y = conv(x.relu(), f'{name}.convolution1')
        return x + conv(y.relu(), f'{name}.convolution2')

    def double(x):
        return F.interpolate(x, scale_factor=2, mode='bilinear',
                             align_corners=True)

    features = list(features)
    features[0] = conv(features[0].repeat_interleave(2, 2).repeat_interleave(
        2, 3), 'feature_upsample_0.conv')
    x = None
    for layer, index in enumerate((3, 2, 1, 0)):
        name = f'neck.fusion_stage.layers.{layer}'
        y = conv(features[index], f'neck.convs.{index}')
        if x is not None:
            y = F.interpolate(y, x.shape[2:], mode='bilinear')
            y = x + residual(y, f'{name}.residual_layer1')
        x = conv(double(residual(y, f'{name}.residual_layer2')),
                 f'{name}.projection')
    x = conv(conv(x, 'head.projection').relu(), 'head.head.0')
    return conv(conv(double(x), 'head.head.2').relu(), 'head.head.4')


@pytest.fixture(scope='module')
def official(tmp_path_factory):
    return Official(tmp_path_factory.mktemp('genpercept-models'), ODD)


@pytest.fixture(scope='module')
def mini(tmp_path_factory):
    return Official(tmp_path_factory.mktemp('genpercept-mini'),
                    ARCHS['mini'])


@pytest.fixture
def convert(tmp_path, monkeypatch, capsys):
    """Run the tool; gives the model that it describes, and its words."""

    def run(src, *args):
        out = str(tmp_path / 'out.pth')
        monkeypatch.setattr(
            sys, 'argv', ['', str(src), '--out', out, *map(str, args)])
        capsys.readouterr()
        genpercept2mm.main()
        words, config = capsys.readouterr().out.split('\n\n', 1)
        cfg = Config.fromstring(config, '.py')
        assert cfg.load_from == out
        model = MODELS.build(cfg.model).eval()
        checkpoint = torch.load(out, weights_only=True)
        model.load_state_dict(checkpoint['state_dict'])
        return model, words

    run.out = tmp_path / 'out.pth'
    return run


def refused(convert, match, *args):
    with pytest.raises(SystemExit, match=match) as info:
        convert(*args)
    assert 'nothing written' in info.value.code
    assert not convert.out.exists()


def prompt_of(official, tokens=2):
    return ('--prompt-embeds', f'{official.root}/empty_text_embed.npy',
            '--prompt-tokens', tokens)


def predict(model, x):
    size = tuple(x.shape[2:])
    sample = SegDataSample(metainfo=dict(ori_shape=size, img_shape=size))
    with torch.no_grad():
        latent = model.backbone.encode(x)
        features = model.extract_feat(x)
        decoded = model.decode_head(features)
        sample, = model.predict(x, [sample])
    pred = sample.get(model.codec.pred_field).data[None]
    return latent, features, decoded, pred


def close(ours, theirs, atol=1e-4):
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


def image(size, seed=0):
    """Smooth and noisy, so that encoder and decoder see structure."""
    torch.manual_seed(seed)
    coarse = F.interpolate(torch.rand(1, 3, 5, 7), size, mode='bicubic')
    return (coarse + torch.rand(1, 3, *size) / 5).clamp(0, 1) * 2 - 1


@pytest.mark.parametrize(
    'task', ['depth', 'disparity', 'dis', 'matting', 'normal', 'seg'])
def test_vae_models_equal_the_official_path(official, convert, task):
    model, words = convert(f'{official.root}/unet_{task}_v2',
                           *prompt_of(official))
    assert f'unet_{task}_v2' in words
    for size in SIZES:
        x = image(size)
        latent, _, out = official.run_unet(x)
        y = official.decode(out)
        assert y.shape[2:] == tuple(n // 8 * 8 for n in size)
        if task not in ('normal', 'seg'):
            y = y.mean(dim=1, keepdim=True)
        assert y.std() > 0.1 and y.abs().max() > 1
        final = F.interpolate((y.clip(-1, 1) + 1) / 2, size,
                              mode='bilinear', antialias=True)
        ours = predict(model, x)
        close(ours[0], latent)
        close(ours[1][0], -out)
        close(ours[2], y)
        if task == 'normal':
            final = final * 2 - 1
            final = final / final.norm(dim=1, keepdim=True)
            # division by the length of short vectors amplifies rounding
            close(ours[3], final, 1e-3)
        elif task == 'seg':
            palette = torch.tensor([color for _, color in NYU40]) / 255
            far = (final[:, None] - palette[None, :, :, None, None]).norm(
                dim=2)
            close(far.gather(1, ours[3])[:, 0], far.amin(1))
        else:
            close(ours[3], final)


def test_the_dpt_model_equals_the_official_path(official, convert):
    model, words = convert(
        official.root, '--task', 'disparity-dpt', *prompt_of(official))
    assert 'dpt_head_identity' in words and 'of the decoder are left' in words
    for size in SIZES:
        x = image(size)
        latent, features, _ = official.run_unet(x)
        y = run_head(official.head, features)
        final = F.interpolate((y - y.min()) / (y.max() - y.min()), size,
                              mode='bilinear', antialias=True)
        ours = predict(model, x)
        close(ours[0], latent)
        for own, theirs in zip(ours[1], features, strict=True):
            close(own, theirs)
        close(ours[2], y)
        close(ours[3], final)


@pytest.mark.parametrize('task', ['depth', 'disparity-dpt'])
def test_a_named_arch_is_named(mini, convert, task):
    model, _ = convert(mini.root, '--task', task, *prompt_of(mini))
    assert type(model).__name__ == 'DenseEstimator'
    assert model.backbone.prompt_embeds.shape == (1, 2, 32)
    assert torch.load(convert.out, weights_only=True)['meta'][
        'arch'] == 'mini'
    x = image((75, 101))
    latent, features, out = mini.run_unet(x)
    ours = predict(model, x)
    close(ours[0], latent)
    if task == 'depth':
        close(ours[2], mini.decode(out).mean(1, keepdim=True))
    else:
        close(ours[2], run_head(mini.head, features))


def test_all_rows_of_the_prompt_can_be_kept(mini, convert):
    model, _ = convert(f'{mini.root}/unet_depth_v2', *prompt_of(mini)[:2])
    assert model.backbone.prompt_embeds.shape == (1, 77, 32)
    x = image((64, 64))
    close(predict(model, x)[1][0], -mini.run_unet(x, tokens=77)[2])


def test_the_prompt_is_embedded_by_a_text_encoder(mini, convert, tmp_path):
    encoder = write_text_encoder(tmp_path / 'sd')
    source = f'{mini.root}/unet_depth_v2'
    for args, tokens in (
            (('--text-encoder', tmp_path / 'sd'), [2, 3]),
            (('--base', tmp_path / 'sd', '--prompt', 'b a'), [2, 1, 0, 3])):
        model, _ = convert(source, *args)
        with torch.no_grad():
            close(model.backbone.prompt_embeds,
                  encoder(torch.tensor([tokens]))[0], 1e-6)
    os.remove(convert.out)
    refused(convert, 'takes --text-encoder', source)
    refused(convert, 'must be 1 to 77', source, *prompt_of(mini, 78))


def test_training_runs(mini, convert, tmp_path):
    """A trained decoder, a head on a frozen U-Net, a .bin file."""
    prompt = prompt_of(mini)
    base = tmp_path / 'sd'
    os.makedirs(base)
    shutil.copytree(f'{mini.root}/unet_depth_v2', base / 'unet')
    shutil.copytree(f'{mini.root}/vae', base / 'vae')

    run = tmp_path / 'decoder'
    os.makedirs(run / 'unet')
    # without config.json, as when the trainer fails to save it
    torch.save(mini.unet.state_dict(),
               run / 'unet/diffusion_pytorch_model.bin')
    other = AutoencoderKL(**ARCHS['mini']['vae'])
    for part in ('decoder', 'post_quant_conv'):
        os.makedirs(run / f'vae_{part}')
        save_file(getattr(other, part).state_dict(),
                  run / f'vae_{part}/model.safetensors')
    refused(convert, 'give --task', run, *prompt, '--base', base)
    refused(convert, 'with --base', run, *prompt, '--task', 'dis')
    model, words = convert(run, *prompt, '--base', base, '--task', 'dis')
    assert str(run / 'vae_decoder') in words
    x = image((75, 101))
    _, features, out = mini.run_unet(x)
    with torch.no_grad():
        y = other.decode(-out / 0.18215).sample.mean(1, keepdim=True)
    close(predict(model, x)[2], y)

    run = tmp_path / 'frozen'
    shutil.copytree(f'{mini.root}/dpt_head_identity',
                    run / 'dpt_head_identity')
    save_file(mini.head, run / 'model.safetensors')  # accelerate's remains
    model, words = convert(run, *prompt, '--base', base, '--task', 'depth')
    assert 'conv_norm_out.weight' in words
    assert model.codec.space == 'depth'
    close(predict(model, x)[2], run_head(mini.head, features))


@pytest.mark.parametrize('keep', [True, False])
def test_lora_runs(mini, convert, tmp_path, keep):
    from peft import LoraConfig
    shutil.copytree(f'{mini.root}/vae', tmp_path / 'vae')
    unet = UNet2DConditionModel(**ARCHS['mini']['unet'])
    unet.load_state_dict(mini.unet.state_dict())
    unet.add_adapter(LoraConfig(
        r=2, lora_alpha=2, init_lora_weights=False,
        target_modules=['to_k', 'to_q', 'to_v', 'to_out.0']))
    os.makedirs(tmp_path / 'unet')
    save_file(unet.state_dict(), tmp_path / 'unet' / UNET_FILE)
    model, _ = convert(tmp_path, *prompt_of(mini), '--task', 'depth',
                       *(['--keep-lora'] if keep else []))
    assert any('lora_A' in key for key in model.state_dict()) == keep
    x = image((64, 64))
    latent, _, plain = mini.run_unet(x)
    with torch.no_grad():
        out = unet(latent, 1, encoder_hidden_states=mini.prompt[
            None, :2].float()).sample
    assert (out - plain).abs().max() > 0.01
    close(predict(model, x)[1][0], -out)


def test_the_folder_of_one_task(mini, convert, tmp_path):
    for part in ('unet_matting_v2', 'vae'):
        shutil.copytree(f'{mini.root}/{part}', tmp_path / 'hub' / part)
    model, words = convert(tmp_path / 'hub', *prompt_of(mini))
    assert 'unet_matting_v2' in words
    assert model.codec.quantity == 'alpha'


def test_what_does_not_fit_is_refused(mini, convert, tmp_path):
    prompt = prompt_of(mini)
    refused(convert, 'choose one with --unet', mini.root, *prompt)
    refused(convert, 'predicts disparity-dpt by its name', mini.root, *prompt,
            '--unet', 'unet_disparity_dpt_head_v2', '--task', 'normal')
    refused(convert, 'is not a folder', tmp_path / 'nowhere', *prompt)
    copy = tmp_path / 'genpercept-models'
    shutil.copytree(mini.root, copy)

    state = load_file(copy / 'unet_depth_v2' / UNET_FILE)
    del state['mid_block.resnets.0.conv1.bias']
    state['more'] = torch.zeros(1)
    save_file(state, copy / 'unet_depth_v2' / UNET_FILE)
    refused(convert, r'(?s)2 tensors.*conv1.bias is missing.*more has no',
            copy / 'unet_depth_v2', *prompt)

    state = load_file(copy / 'unet_dis_v2' / UNET_FILE)
    state['conv_in.weight'] = state['conv_in.weight'].repeat(1, 2, 1, 1)
    save_file(state, copy / 'unet_dis_v2' / UNET_FILE)
    refused(convert, 'Marigold.*marigold2mm.py', copy / 'unet_dis_v2', *prompt)

    os.rename(copy / 'dpt_head_identity', copy / 'dpt_head')
    refused(convert, "first release's head",
            copy / 'unet_disparity_dpt_head_v2', *prompt)
    shutil.rmtree(copy / 'dpt_head')
    refused(convert, 'needs dpt_head_identity',
            copy / 'unet_disparity_dpt_head_v2', *prompt)

    (copy / 'model_index.json').write_text(
        '{"_class_name": "MarigoldPipeline"}')
    refused(convert, 'holds a MarigoldPipeline.*marigold2mm.py',
            copy / 'unet_seg_v2', *prompt)


def test_the_command_line(mini, tmp_path):
    out = tmp_path / 'depth.pth'
    done = run_python(TOOL, mini.root, '--unet', 'unet_depth_v2', '--out',
                      out, *prompt_of(mini))
    assert "arch='mini'" in done.stdout
    assert os.listdir(tmp_path) == ['depth.pth']
