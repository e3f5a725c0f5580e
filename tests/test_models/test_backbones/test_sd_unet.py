import json
import os
import shutil

import numpy as np
import pytest
import torch
from conftest import assert_near
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from weights import build_parts

from genpercept_mm.models import SDUNet, VAEDecodeHead
from genpercept_mm.models.utils import diffusers_folder
from genpercept_mm.models.utils.sd_archs import ARCHS
from genpercept_mm.utils.step_draws import step_draws

SIZES = [(64, 96), (75, 101), (8, 8), (256, 192), (120, 160)]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A diffusers folder of the mini architecture with a text encoder."""
    from transformers import CLIPTextConfig, CLIPTextModel
    root = tmp_path_factory.mktemp('sd')
    torch.manual_seed(1)
    UNet2DConditionModel(**ARCHS['mini']['unet']).save_pretrained(
        root / 'unet')
    AutoencoderKL(**ARCHS['mini']['vae']).save_pretrained(root / 'vae')
    CLIPTextModel(
        CLIPTextConfig(
            vocab_size=4, hidden_size=32, intermediate_size=37,
            num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=77, bos_token_id=2, eos_token_id=3,
            pad_token_id=3)).save_pretrained(root / 'text_encoder')
    os.makedirs(root / 'tokenizer')
    (root / 'tokenizer/vocab.json').write_text(
        json.dumps({'a</w>': 0, 'b</w>': 1, '<|startoftext|>': 2,
                    '<|endoftext|>': 3}))
    (root / 'tokenizer/merges.txt').write_text('#version: 0.2\n')
    (root / 'tokenizer/tokenizer_config.json').write_text(
        json.dumps(dict(
            tokenizer_class='CLIPTokenizer', model_max_length=77,
            bos_token='<|startoftext|>', eos_token='<|endoftext|>',
            unk_token='<|endoftext|>', pad_token='<|endoftext|>')))
    return str(root)


def plain_diffusers(folder, x, timestep=1):
    """Latent and up-block outputs, by diffusers and forward hooks alone."""
    from transformers import CLIPTextModel
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder='unet')
    vae = AutoencoderKL.from_pretrained(folder, subfolder='vae')
    text = CLIPTextModel.from_pretrained(folder, subfolder='text_encoder')
    post, pre = {}, {}
    for index, block in enumerate(unet.up_blocks):
        block.register_forward_hook(
            lambda m, i, o, index=index: post.update({3 - index: o}))
        if block.upsamplers is None:
            block.register_forward_hook(
                lambda m, i, o, index=index: pre.update({3 - index: o}))
        else:
            block.upsamplers[0].register_forward_pre_hook(
                lambda m, i, index=index: pre.update({3 - index: i[0]}))
    unet.conv_out.register_forward_pre_hook(
        lambda m, i: post.update({5: i[0]}) or pre.update({5: i[0]}))
    with torch.no_grad():
        embeds = text(torch.tensor([[2, 3]]))[0]
        latent = vae.encode(x).latent_dist.mode() * 0.18215
        out = unet(latent, timestep,
                   encoder_hidden_states=embeds.repeat(len(x), 1, 1)).sample
    post[4] = pre[4] = -out
    return dict(post_upsample=post, pre_upsample=pre)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('feature_type', ['post_upsample', 'pre_upsample'])
def test_outputs_equal_plain_diffusers(folder, size, feature_type):
    torch.manual_seed(0)
    x = torch.rand(2, 3, *size) * 2 - 1
    expected = plain_diffusers(folder, x)[feature_type]
    net = SDUNet(
        arch='mini', pretrained=folder, out_indices=(0, 1, 2, 3, 4, 5),
        feature_type=feature_type)
    net.init_weights()
    net.eval()
    with torch.no_grad():
        outs = net(x)
    assert len(outs) == 6
    for index, out in enumerate(outs):
        assert_near(out, expected[index])
        # ceil(ceil(h / 2) / 2) ... is what a strided convolution gives
        cells = [s // 8 for s in size]
        factor = net.out_strides[index] // 8
        assert out.shape == (2, net.out_channels[index],
                             *[-(-c // factor) for c in cells])


@pytest.mark.parametrize('size', [
    (256, 192), (480, 640), (333, 500), (75, 101), (5, 1)])
def test_pyramid_has_the_sizes_of_a_resnet(size):
    from mmdet.models.backbones import ResNet
    net = SDUNet(arch='mini', feature_type='pyramid').eval()
    resnet = ResNet(18, base_channels=1)
    resnet.eval()
    with torch.no_grad():
        outs = net(torch.zeros(1, 3, *size))
        expected = resnet(torch.zeros(1, 3, *size))
    assert [out.shape[2:] for out in outs] == [
        out.shape[2:] for out in expected]
    assert [out.shape[1] for out in outs] == list(net.out_channels)
    assert net.out_strides == (4, 8, 16, 32)


def test_pyramid_is_post_upsample_with_a_finer_first_map():
    torch.manual_seed(0)
    net = SDUNet(arch='mini', feature_type='pyramid')
    plain = SDUNet(arch='mini')
    plain.load_state_dict(net.state_dict(), strict=False)
    x = torch.rand(2, 3, 64, 40) * 2 - 1
    outs, expected = net(x), plain(x)
    for out, other in zip(outs[1:], expected[1:]):
        torch.testing.assert_close(out, other)
    # a cell becomes 2 x 2, each a linear map of it
    weight, bias = net.pyramid_up.weight, net.pyramid_up.bias
    finer = torch.einsum('ncij,cdab->ndiajb', expected[0], weight)
    assert_near(
        outs[0], finer.reshape(2, 32, 16, 10) + bias.view(-1, 1, 1))


def test_pyramid_pads_with_mid_grey():
    """A padded image gives the same, as long as the cells are there."""
    torch.manual_seed(0)
    net = SDUNet(arch='mini', feature_type='pyramid').eval()
    x = torch.rand(1, 3, 37, 51) * 2 - 1
    padded = torch.zeros(1, 3, 40, 56)
    padded[..., :37, :51] = x
    with torch.no_grad():
        for out, other in zip(net(x), net(padded)):
            assert_near(out, other[..., :out.shape[2], :out.shape[3]])


@pytest.mark.parametrize('freeze', [
    dict(freeze_unet=True), dict(lora_rank=2)])
def test_pyramid_trains_beside_a_fixed_unet(freeze):
    net = SDUNet(arch='mini', feature_type='pyramid', **freeze)
    net(torch.zeros(1, 3, 16, 16))[0].sum().backward()
    assert net.pyramid_up.weight.grad is not None


def test_a_checkpoint_of_the_other_feature_type_starts_a_pyramid():
    net = SDUNet(arch='mini', feature_type='pyramid')
    done = net.load_state_dict(SDUNet(arch='mini').state_dict(), strict=False)
    # named, so that tools/test.py refuses it
    assert done.missing_keys == ['pyramid_up.weight', 'pyramid_up.bias']


def plain_unet(in_channels=4):
    torch.manual_seed(5)
    return UNet2DConditionModel(**dict(ARCHS['mini']['unet'],
                                       in_channels=in_channels)).eval()


@pytest.mark.parametrize('in_channels', [4, 8])
@pytest.mark.parametrize('timesteps', [
    0, 1, 999, torch.tensor(500), torch.tensor([7, 990])])
@pytest.mark.parametrize('size', [(8, 12), (9, 13)])
def test_velocity_equals_plain_diffusers(in_channels, timesteps, size):
    unet = plain_unet(in_channels)
    net = SDUNet(arch='mini', in_channels=in_channels, out_indices=(4, ))
    net.unet.load_state_dict(unet.state_dict())
    torch.manual_seed(1)
    latents = torch.randn(2, in_channels, *size)
    with torch.no_grad():
        ours = net.velocity(latents, timesteps)
        theirs = unet(
            latents, timesteps,
            encoder_hidden_states=net.prompt_embeds.repeat(2, 1, 1)).sample
    assert ours.shape == (2, 4, *size)
    assert_near(ours, theirs, 1e-6)


def test_each_image_has_its_own_timestep():
    torch.manual_seed(0)
    net = SDUNet(arch='mini', out_indices=(4, )).eval()
    latents = torch.randn(3, 4, 8, 8)
    with torch.no_grad():
        together = net.velocity(latents, torch.tensor([1, 500, 900]))
        for k, timestep in enumerate((1, 500, 900)):
            alone = net.velocity(latents[k:k + 1], timestep)
            assert_near(together[k:k + 1], alone)
        assert (together[1:2] - net.velocity(latents[1:2], 1)).abs().max() > (
            1e-3)


@pytest.mark.parametrize('lora_rank', [0, 2])
def test_eight_channels_of_four_are_equal_on_equal_latents(
        folder, lora_rank):
    """(w/2) z + (w/2) z = w z: halving is exact in binary."""
    four = SDUNet(arch='mini', pretrained=folder, out_indices=(4, )).eval()
    eight = SDUNet(arch='mini', pretrained=folder, out_indices=(4, ),
                   in_channels=8, lora_rank=lora_rank).eval()
    four.init_weights()
    eight.init_weights()
    assert eight.unet.conv_in.weight.shape == (32, 8, 3, 3)
    assert eight.unet.config.in_channels == eight.in_channels == 8
    assert torch.equal(eight.unet.conv_in.bias, four.unet.conv_in.bias)
    latents = torch.randn(2, 4, 8, 12)
    with torch.no_grad():
        assert_near(eight.velocity(latents.repeat(1, 2, 1, 1), 1),
                    four.velocity(latents, 1))
        # either half alone: conv_in is linear
        half = torch.cat([latents, torch.zeros_like(latents)], dim=1)
        expected = four.unet.conv_in(latents)
        bias = four.unet.conv_in.bias[:, None, None]
        for given in (half, half.roll(4, dims=1)):
            torch.testing.assert_close(
                eight.unet.conv_in(given), (expected + bias) / 2)


def test_a_folder_with_eight_channels_loads_as_it_is(folder, tmp_path):
    shutil.copytree(folder, tmp_path / 'marigold')
    unet = plain_unet(8)
    unet.save_pretrained(tmp_path / 'marigold/unet')
    net = SDUNet(arch='mini', pretrained=str(tmp_path / 'marigold'),
                 in_channels=8, out_indices=(4, ))
    net.init_weights()
    assert torch.equal(net.unet.conv_in.weight, unet.conv_in.weight)
    net = SDUNet(arch='mini', pretrained=str(tmp_path / 'marigold'))
    with pytest.raises(ValueError, match='in_channels is 8 there, 4 here'):
        net.init_weights()


def test_a_checkpoint_of_four_channels_does_not_fit_eight():
    net = SDUNet(arch='mini', in_channels=8)
    with pytest.raises(RuntimeError, match=r'conv_in.weight is \(32, 4, 3, 3'
                       r'\) there, \(32, 8, 3, 3\) here.*in_channels'):
        net.load_state_dict(SDUNet(arch='mini').state_dict(), strict=False)


def test_one_step_on_the_image_needs_four_channels():
    net = SDUNet(arch='mini', in_channels=8, out_indices=(4, ))
    with pytest.raises(ValueError, match="LatentDiffusionEstimator "
                       "with protocol='marigold'"):
        net(torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize('in_channels, shape', [(4, (1, 8, 4, 4)),
                                                (8, (1, 4, 4, 4))])
def test_velocity_refuses_latents_of_another_protocol(in_channels, shape):
    net = SDUNet(arch='mini', in_channels=in_channels, out_indices=(4, ))
    with pytest.raises(ValueError, match='latents must be '
                       rf'\(N, {in_channels}, h, w\), got'):
        net.velocity(torch.zeros(shape), 1)


def test_velocity_needs_the_latent():
    with pytest.raises(ValueError, match='the velocity needs 4 '):
        SDUNet(arch='mini').velocity(torch.zeros(1, 4, 4, 4), 1)


def test_random_timesteps_are_uniform_and_for_training_only():
    net = SDUNet(arch='mini', train_timestep='random', timestep=3).train()
    torch.manual_seed(0)
    drawn = net.draw_timesteps(200_000)
    assert drawn.shape == (200_000, ) and drawn.dtype == torch.int64
    counts = torch.bincount(drawn, minlength=1000)
    assert len(counts) == 1000
    # chi-squared with 999 degrees of freedom: 999 +- 4 * sqrt(2 * 999)
    chi2 = ((counts - 200.)**2 / 200).sum()
    assert abs(chi2 - 999) < 4 * (2 * 999)**0.5
    assert not torch.equal(net.draw_timesteps(8), net.draw_timesteps(8))
    torch.manual_seed(0)
    assert torch.equal(net.draw_timesteps(200_000), drawn)
    assert net.eval().draw_timesteps(4) == 3


def test_forward_uses_the_timestep_of_its_mode():
    """No dropout or batch norm: modes differ by the timestep only."""
    x = torch.rand(2, 3, 32, 32)
    net = SDUNet(arch='mini', out_indices=(4, ), timestep=1,
                 train_timestep=900)
    other = SDUNet(arch='mini', out_indices=(4, ), timestep=900)
    other.load_state_dict(net.state_dict())
    with torch.no_grad():
        trained = net.train()(x)[0]
        torch.testing.assert_close(trained, other.eval()(x)[0])
        assert (trained - net.eval()(x)[0]).abs().max() > 1e-4
    net.train_timestep = 'random'
    with torch.no_grad():
        torch.manual_seed(0)
        drawn = net.train().draw_timesteps(2)
        torch.manual_seed(0)
        torch.testing.assert_close(
            net(x)[0], -net.velocity(net.encode(x), drawn))


def test_scratch_unet_reads_vae_and_prompt_only(folder):
    pretrained = SDUNet(arch='mini', pretrained=folder)
    pretrained.init_weights()
    torch.manual_seed(3)
    net = SDUNet(arch='mini', pretrained=folder, scratch_unet=True)
    before = {k: v.clone() for k, v in net.unet.state_dict().items()}
    net.init_weights()
    assert torch.equal(net.prompt_embeds, pretrained.prompt_embeds)
    for key, value in net.vae.state_dict().items():
        assert torch.equal(value, pretrained.vae.state_dict()[key]), key
    for key, value in net.unet.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert not torch.equal(net.unet.conv_in.weight,
                           pretrained.unet.conv_in.weight)
    assert all(p.requires_grad for p in net.unet.parameters())
    assert net(torch.rand(1, 3, 32, 32))[0].shape == (1, 32, 4, 4)


def test_bundled_weights_have_a_name(folder, monkeypatch, tmp_path):
    monkeypatch.setitem(diffusers_folder.BUNDLED, 'mini', folder)
    net, named = (SDUNet(arch='mini', pretrained=pretrained)
                  for pretrained in (folder, 'mini'))
    head = VAEDecodeHead(dict(type='genpercept_mm.MatteCodec'), arch='mini',
                         pretrained='mini')
    for model in (net, named, head):
        model.init_weights()
    for key, value in named.state_dict().items():
        assert torch.equal(value, net.state_dict()[key]), key
    vae = AutoencoderKL.from_pretrained(folder, subfolder='vae')
    assert torch.equal(head.vae.decoder.conv_in.weight,
                       vae.decoder.conv_in.weight)
    monkeypatch.setitem(diffusers_folder.BUNDLED, 'mini',
                        str(tmp_path / 'gone'))
    for model in (named, head):
        with pytest.raises(FileNotFoundError, match=(
                type(model).__name__ + ": pretrained='mini' means the "
                'weights in .*gone, which this installation')):
            model.init_weights()


def test_timestep_reaches_the_network(folder):
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    expected = plain_diffusers(folder, x, timestep=0)['post_upsample'][4]
    net = SDUNet(arch='mini', pretrained=folder, out_indices=(4, ),
                 timestep=0)
    net.init_weights()
    with torch.no_grad():
        assert_near(net(x)[0], expected)


@pytest.mark.parametrize('feature_type', ['post_upsample', 'pre_upsample'])
@pytest.mark.parametrize('out_indices', [
    (0, 1, 2, 3), (4, ), (2, 3), (3, ), (5, ), (1, 5)])
def test_every_parameter_that_is_kept_gets_a_gradient(
        feature_type, out_indices):
    net = SDUNet(
        arch='mini', out_indices=out_indices, feature_type=feature_type,
        freeze_vae=False)
    outs = net(torch.rand(1, 3, 64, 64))
    assert [out.shape[1] for out in outs] == list(net.out_channels)
    sum(out.square().sum() for out in outs).backward()
    without = [name for name, parameter in net.named_parameters()
               if parameter.grad is None]
    assert without == []


def test_frozen_parts_stay_in_eval_and_carry_no_gradient():
    net = SDUNet(arch='mini', freeze_unet=True).train()
    assert not any(m.training for m in net.unet.modules())
    assert not any(m.training for m in net.vae.modules())
    outs = net(torch.rand(1, 3, 32, 32))
    assert not any(out.requires_grad for out in outs)
    net = SDUNet(arch='mini').train()
    assert net.unet.training and not net.vae.training
    net(torch.rand(1, 3, 32, 32))[0].sum().backward()
    assert all(p.grad is None for p in net.vae.parameters())
    assert net.unet.conv_in.weight.grad.abs().sum() > 0


def test_checkpointing_changes_no_gradient():
    x = torch.rand(2, 3, 40, 56)
    grads = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        net = SDUNet(arch='mini', with_cp=with_cp, freeze_vae=False).train()
        sum(out.square().mean() for out in net(x)).backward()
        grads.append({n: p.grad for n, p in net.named_parameters()})
    assert grads[0].keys() == grads[1].keys()
    for name, grad in grads[0].items():
        torch.testing.assert_close(grad, grads[1][name], msg=name)


def test_lora_trains_only_its_matrices_and_starts_as_identity(folder):
    x = torch.rand(1, 3, 32, 32)
    plain = SDUNet(arch='mini', pretrained=folder).eval()
    plain.init_weights()
    lora = SDUNet(arch='mini', pretrained=folder, lora_rank=4).eval()
    lora.init_weights()
    with torch.no_grad():
        for ours, theirs in zip(lora(x), plain(x)):
            torch.testing.assert_close(ours, theirs)
    trainable = {n for n, p in lora.named_parameters() if p.requires_grad}
    assert trainable and all('lora_' in name for name in trainable)
    lora.train()(x)[0].sum().backward()
    assert all((p.grad is not None) == (n in trainable)
               for n, p in lora.named_parameters())


@pytest.mark.parametrize('rank, trainable', [
    (4, 829_952), (16, 3_319_808), (64, 13_279_232), (256, 53_116_928),
    (1024, 212_467_712)])
def test_lora_has_the_official_size(rank, trainable):
    """4 projections x 2 attentions x 16 transformers; values, that nobody
    reads here, are not allocated."""
    with torch.device('meta'):
        net = SDUNet(arch='sd21', out_indices=(4, ), lora_rank=rank)
    lora = {name: p for name, p in net.named_parameters() if p.requires_grad}
    assert sum(p.numel() for p in lora.values()) == trainable
    assert len(lora) == 2 * 128
    layers = [m for m in net.unet.modules() if hasattr(m, 'lora_A')]
    assert len(layers) == 128
    assert {m.scaling['default'] for m in layers} == {1.0}


def test_lora_starts_as_officially():
    """A ~ N(0, std 1/r), not the variance; B = 0."""
    torch.manual_seed(0)
    net = SDUNet(arch='mini', lora_rank=16)
    low = torch.cat([p.flatten() for n, p in net.named_parameters()
                     if '.lora_A.' in n])
    high = [p for n, p in net.named_parameters() if '.lora_B.' in n]
    assert len(low) > 20_000 and len(high) == 8 * 10
    # four standard errors of mean, deviation and fourth moment
    error = 4 / len(low)**0.5
    assert low.mean().abs() < error / 16
    assert (low.std() * 16 - 1).abs() < error / 2**0.5
    assert (((low * 16)**4).mean() - 3).abs() < error * 96**0.5
    assert all(not p.any() for p in high)


def test_sd21_has_the_published_sizes():
    """SD 2.1: U-Net 865,910,724 (865,898,560 without its output layers),
    VAE encoder 34,163,592 and quant_conv 72, LoRA of rank 16 3,319,808."""

    def count(module, trainable=False):
        return sum(p.numel() for p in module.parameters()
                   if p.requires_grad or not trainable)

    with torch.device('meta'):
        net = SDUNet(arch='sd21', out_indices=(0, 1, 2, 3, 4), lora_rank=16)
    assert count(net, trainable=True) == 3_319_808
    assert count(net.unet) - 3_319_808 == 865_910_724
    assert count(net.vae) == 34_163_592 + 72
    assert net.prompt_embeds.shape == (1, 2, 1024)
    assert net.out_channels == (320, 640, 1280, 1280, 4)
    assert net.out_strides == (8, 8, 16, 32, 8)
    net.unet.delete_adapters('default')
    del net.unet.conv_out, net.unet.conv_norm_out
    assert count(net.unet) == 865_898_560


def test_prompt_is_embedded_without_padding(folder):
    net = SDUNet(arch='mini', pretrained=folder)
    net.init_weights()
    assert net.prompt_embeds.shape == (1, 2, 32)
    net = SDUNet(arch='mini', pretrained=folder, prompt='a b')
    net.init_weights()
    assert net.prompt_embeds.shape == (1, 4, 32)
    # a rare one; unknown characters become the end token, one each
    net = SDUNet(arch='mini', pretrained=folder, prompt='F3@qV!k2*#Zp^n%1Lz')
    net.init_weights()
    length = net.prompt_embeds.shape[1]
    assert length > 4
    x = torch.rand(2, 3, 32, 32)
    assert net(x)[0].shape == (2, 32, 4, 4)
    # and a checkpoint keeps it
    other = SDUNet(arch='mini', pretrained=folder)
    other.load_state_dict(net.state_dict())
    torch.testing.assert_close(other.eval()(x), net.eval()(x))


def test_class_names_become_a_token_each(folder):
    from transformers import CLIPTextModel, CLIPTokenizer
    tokenizer = CLIPTokenizer.from_pretrained(folder, subfolder='tokenizer')
    text = CLIPTextModel.from_pretrained(folder, subfolder='text_encoder')
    net = SDUNet(arch='mini', pretrained=folder, prompt=['a', 'ab', 'b'])
    net.init_weights()
    assert net.prompt_embeds.shape == (1, 3, 32)
    for name, embeds in zip(['a', 'ab', 'b'], net.prompt_embeds[0]):
        tokens = tokenizer(f'a photo of a {name}', return_tensors='pt')
        hidden = text.eval()(**tokens).last_hidden_state
        ends = tokens.input_ids[0] == tokenizer.eos_token_id
        torch.testing.assert_close(embeds, hidden[0][ends][-1])
    # a checkpoint brings them to a model without
    other = SDUNet(arch='mini')
    other.load_state_dict(net.state_dict())
    assert torch.equal(other.prompt_embeds, net.prompt_embeds)


def test_no_class_names_are_refused(folder):
    net = SDUNet(arch='mini', pretrained=folder, prompt=[])
    with pytest.raises(ValueError, match='prompt has no class names'):
        net.init_weights()


@pytest.mark.parametrize('suffix', ['.npy', '.pt', '.safetensors'])
def test_prompt_embeds_come_from_a_file(folder, tmp_path, suffix):
    embeds = np.random.default_rng(0).normal(size=(5, 32)).astype('f4')
    path = str(tmp_path / f'prompt{suffix}')
    if suffix == '.npy':
        np.save(path, embeds)
    elif suffix == '.pt':
        torch.save(torch.from_numpy(embeds), path)
    else:
        save_file({'x': torch.from_numpy(embeds)}, path)
    # the folder needs no text encoder then
    bare = tmp_path / 'bare'
    for part in ('unet', 'vae'):
        shutil.copytree(f'{folder}/{part}', bare / part)
    net = SDUNet(arch='mini', pretrained=str(bare), prompt_embeds=path)
    net.init_weights()
    torch.testing.assert_close(net.prompt_embeds[0],
                               torch.from_numpy(embeds))
    with pytest.raises(FileNotFoundError, match='has no tokenizer/'):
        SDUNet(arch='mini', pretrained=str(bare)).init_weights()


def test_a_folder_without_the_unet_is_refused(folder, tmp_path):
    shutil.copytree(f'{folder}/vae', tmp_path / 'vae')
    with pytest.raises(FileNotFoundError, match='no unet/config.json'):
        SDUNet(arch='mini', pretrained=str(tmp_path)).init_weights()
    with pytest.raises(FileNotFoundError, match='neither a folder here'):
        SDUNet(arch='mini', pretrained='./nowhere/sd21').init_weights()


def test_weights_of_another_architecture_are_refused(folder):
    other = dict(
        unet=dict(ARCHS['mini']['unet'], block_out_channels=(32, 64, 64, 64)),
        vae=ARCHS['mini']['vae'])
    net = SDUNet(arch=other, pretrained=folder)
    with pytest.raises(ValueError, match=r'block_out_channels is \[32, 64, '
                       r'96, 96\] there, \[32, 64, 64, 64\] here'):
        net.init_weights()


@pytest.mark.parametrize('lora_rank', [0, 2])
def test_missing_tensors_are_named(folder, tmp_path, lora_rank):
    """One that peft leaves alone, and one that it wraps and renames."""
    shutil.copytree(folder, tmp_path / 'sd')
    path = tmp_path / 'sd/unet/diffusion_pytorch_model.safetensors'
    state = load_file(path)
    attention = 'mid_block.attentions.0.transformer_blocks.0.attn1.to_q'
    del state['mid_block.resnets.0.conv1.weight'], state[attention + '.weight']
    save_file(state, path, metadata=dict(format='pt'))
    net = SDUNet(arch='mini', pretrained=str(tmp_path / 'sd'),
                 lora_rank=lora_rank)
    with pytest.raises(RuntimeError, match='lacks 2 tensors: ') as error:
        net.init_weights()
    assert 'mid_block.resnets.0.conv1.weight' in str(error.value)
    assert attention in str(error.value)


@pytest.mark.parametrize('lora_rank', [0, 2])
def test_a_file_replaces_the_unet_of_the_folder(folder, tmp_path, lora_rank):
    """As CleanDIFT's, which has half precision and diffusers' names."""
    other, *_ = build_parts('mini', seed=7)
    path = str(tmp_path / 'unet.safetensors')
    save_file({key: value.half() for key, value
               in other.state_dict().items()}, path)
    net = SDUNet(arch='mini', pretrained=folder, unet_weights=path,
                 timestep=261, lora_rank=lora_rank)
    net.init_weights()
    plain = SDUNet(arch='mini', pretrained=folder)
    plain.init_weights()
    own = {key.replace('.base_layer', ''): value
           for key, value in net.unet.state_dict().items()}
    for key, value in plain.unet.state_dict().items():
        assert torch.equal(own[key], other.state_dict()[key].half().float())
    for key, value in plain.vae.state_dict().items():
        assert torch.equal(net.vae.state_dict()[key], value)
    assert torch.equal(net.prompt_embeds, plain.prompt_embeds)


def test_a_wrong_file_for_the_unet_is_named(folder, tmp_path):
    with pytest.raises(ValueError, match='scratch_unet leaves the U-Net rand'):
        SDUNet(arch='mini', pretrained=folder, scratch_unet=True,
               unet_weights='unet.safetensors')
    # a checkpoint has its weights
    SDUNet(arch='mini', unet_weights='none.pth').init_weights()
    net = SDUNet(arch='mini', pretrained=folder, unet_weights='none.pth')
    with pytest.raises(FileNotFoundError, match="'none.pth' is neither"):
        net.init_weights()
    path = str(tmp_path / 'vae.safetensors')
    save_file({'conv_in.weight': torch.zeros(32, 4, 3, 3)}, path)
    net = SDUNet(arch='mini', pretrained=folder, unet_weights=path)
    with pytest.raises(RuntimeError, match='vae.safetensors.* lacks'):
        net.init_weights()


def test_nothing_random_runs_where_pretrained_was_asked_for(folder):
    net = SDUNet(arch='mini', pretrained=folder)
    with pytest.raises(RuntimeError, match='call init_weights'):
        net(torch.zeros(1, 3, 32, 32))
    source = SDUNet(arch='mini')
    net.load_state_dict(source.state_dict())
    x = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(net.eval()(x), source.eval()(x))


@pytest.mark.parametrize('wrap', [False, True])
def test_checkpoint_of_another_architecture_is_refused(wrap):
    from mmengine.runner.checkpoint import load_state_dict
    other = dict(
        unet=dict(ARCHS['mini']['unet'], block_out_channels=(32, 64, 64, 64)),
        vae=ARCHS['mini']['vae'])
    state, net = SDUNet(arch=other).state_dict(), SDUNet(arch='mini')
    if wrap:
        net = torch.nn.ModuleDict(dict(backbone=net))
        state = {f'backbone.{key}': value for key, value in state.items()}
    with pytest.raises(RuntimeError, match='another architecture.*Set arch'):
        load_state_dict(net, state, strict=False)


def test_checkpoint_of_another_backbone_is_refused():
    net = torch.nn.ModuleDict(dict(backbone=SDUNet(arch='mini')))
    with pytest.raises(RuntimeError, match='tensors are missing'):
        net.load_state_dict({'backbone.conv1.weight': torch.zeros(1)},
                            strict=False)
    # a checkpoint of the head alone leaves the backbone as it is
    net.load_state_dict({'head.weight': torch.zeros(1)}, strict=False)


def test_checkpoint_without_the_latent_does_not_fit_one_with_it():
    state = SDUNet(arch='mini').state_dict()
    with pytest.raises(RuntimeError, match='unet.conv_norm_out.weight'):
        SDUNet(arch='mini', out_indices=(4, )).load_state_dict(
            state, strict=False)


def test_checkpoint_brings_its_prompt():
    state = SDUNet(arch='mini').state_dict()
    state['prompt_embeds'] = torch.rand(1, 77, 32)
    net = SDUNet(arch='mini')
    net.load_state_dict(state)
    torch.testing.assert_close(net.prompt_embeds, state['prompt_embeds'])
    state['prompt_embeds'].zero_()  # a copy, as of every other tensor
    assert net.prompt_embeds.abs().sum() > 0
    assert net(torch.zeros(1, 3, 32, 32))[0].shape == (1, 32, 4, 4)


def test_plain_checkpoint_loads_into_a_lora_model():
    source = SDUNet(arch='mini').eval()
    net = SDUNet(arch='mini', lora_rank=2).eval()
    result = net.load_state_dict(source.state_dict(), strict=False)
    assert all('.lora_' in key for key in result.missing_keys)
    assert result.unexpected_keys == []
    x = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(net(x), source(x))


def test_runs_in_bfloat16_autocast():
    net = SDUNet(arch='mini').eval()
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        full = net(x)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            half = net(x)
    for a, b in zip(full, half):
        assert (a - b.float()).abs().mean() < 0.05 * a.abs().mean()


@pytest.mark.parametrize('changes, message', [
    (dict(arch='sd3'), "arch must be one of .* got 'sd3'"),
    (dict(arch=dict(unet={})), "exactly the keys 'unet' and 'vae'"),
    (dict(arch=dict(unet=dict(ARCHS['mini']['unet'],
                              center_input_sample=True),
                    vae=ARCHS['mini']['vae'])),
     'arch.unet.center_input_sample=True is not supp'),
    (dict(out_indices=(6, )), r'out_indices must be of 0..3 .* got \(6,\)'),
    (dict(out_indices=()), 'out_indices'),
    (dict(feature_type='upsampled'), 'feature_type must be one of'),
    (dict(timestep=1000), 'timestep must be in 0..999, got 1000'),
    (dict(prediction_type='velocity'), "prediction_type must be one of"),
    (dict(train_timestep=1000), 'train_timestep must be None'),
    (dict(train_timestep='uniform'), "'random' or in 0..999, got 'uniform'"),
    (dict(in_channels=6), r'must be 4 \(one latent\) or 8 .* got 6'),
    (dict(lora_rank=4, freeze_unet=True), 'set one'),
    (dict(lora_rank=4, scratch_unet=True), 'leaves the U-Net random'),
    (dict(freeze_unet=True, scratch_unet=True), 'leaves the U-Net random'),
])
def test_bad_arguments(changes, message):
    with pytest.raises(ValueError, match=message):
        SDUNet(**dict(dict(arch='mini'), **changes))


@pytest.mark.parametrize('shape', [(1, 3, 7, 32), (1, 1, 32, 32), (3, 32, 32)])
def test_bad_input(shape):
    with pytest.raises(ValueError, match=r'input must be \(N, 3, H, W\)'):
        SDUNet(arch='mini')(torch.zeros(shape))


# -- what the U-Net was trained to predict ------------------------------------


def test_the_sign_of_the_latent(folder):
    """Minus a velocity or a noise, and plus a sample, by diffusers."""
    x = torch.rand(1, 3, 32, 40) * 2 - 1
    expected = plain_diffusers(folder, x)['post_upsample']
    net = SDUNet(arch='mini', pretrained=folder, out_indices=(0, 4))
    net.init_weights()
    for kind, sign in ((None, -1), ('v_prediction', -1), ('epsilon', -1),
                       ('sample', 1)):
        other = SDUNet(arch='mini', out_indices=(0, 4), prediction_type=kind)
        other.load_state_dict(net.state_dict())
        with torch.no_grad():
            first, latent = other.eval()(x)
        assert_near(latent, -sign * expected[4])
        # features have no sign
        assert_near(first, expected[0])


@pytest.mark.parametrize('arch, expected', [
    ('sd15', 'epsilon'), ('sd21', 'v_prediction'), ('mini', 'v_prediction'),
    (ARCHS['sd15'], 'v_prediction')])
def test_who_predicts_what(arch, expected):
    """As runwayml's and Stability's scheduler_config.json say."""
    with torch.device('meta'):
        assert SDUNet(arch=arch).prediction_type == expected
    if isinstance(arch, str):
        with torch.device('meta'):
            net = SDUNet(arch=arch, prediction_type='sample')
        assert net.prediction_type == 'sample'


def with_scheduler(folder, path, **fields):
    """A copy of a folder, with links to its parts."""
    path.mkdir()
    for part in ('unet', 'vae', 'text_encoder', 'tokenizer'):
        os.symlink(f'{folder}/{part}', path / part)
    (path / 'scheduler').mkdir()
    (path / 'scheduler/scheduler_config.json').write_text(json.dumps(dict(
        _class_name='DDIMScheduler', **fields)))
    return str(path)


@pytest.mark.parametrize('here', ['v_prediction', 'epsilon', 'sample'])
def test_the_scheduler_beside_the_weights_is_believed(folder, tmp_path, here):
    net = SDUNet(arch='mini', pretrained=folder, prediction_type=here)
    for there in ('v_prediction', 'epsilon', 'sample', None):
        fields = {} if there is None else dict(prediction_type=there)
        net.pretrained = with_scheduler(
            folder, tmp_path / str(there), **fields)
        # the default of diffusers
        there = there or 'epsilon'
        if here == there:
            net.init_weights()
            continue
        with pytest.raises(ValueError, match=(
                f"trained for prediction_type='{there}', and the backbone has "
                f"'{here}'; set prediction_type='{there}'")):
            net.init_weights()
        if here == 'sample':
            # no weights of the U-Net are read
            SDUNet(arch='mini', pretrained=net.pretrained,
                   prediction_type=here, scratch_unet=True).init_weights()


@pytest.fixture(scope='module')
def reader(tmp_path_factory):
    """A backbone that reads only U-Net and VAE."""
    path = tmp_path_factory.mktemp('prompt') / 'prompt.npy'
    np.save(path, np.zeros((2, 32), np.float32))
    return SDUNet(arch='mini', pretrained='x', prompt_embeds=str(path))


@pytest.mark.parametrize('part, field, value', [
    ('unet', 'class_embed_type', 'timestep'), ('unet', 'num_class_embeds', 9),
    ('unet', 'addition_embed_type', 'text'),
    ('unet', 'encoder_hid_dim', 32), ('unet', 'time_cond_proj_dim', 16),
    ('unet', 'time_embedding_type', 'fourier'), ('unet', 'act_fn', 'gelu'),
    ('unet', 'resnet_time_scale_shift', 'scale_shift'),
    ('unet', 'flip_sin_to_cos', False), ('unet', 'freq_shift', 1),
    ('unet', 'norm_eps', 1e-6), ('unet', 'center_input_sample', True),
    ('unet', 'dual_cross_attention', True),
    ('unet', 'only_cross_attention', [True, False, False, False]),
    ('unet', 'mid_block_scale_factor', 2), ('unet', 'conv_in_kernel', 1),
    ('vae', 'scaling_factor', .13025), ('vae', 'shift_factor', .1),
    ('vae', 'use_quant_conv', False), ('vae', 'act_fn', 'gelu'),
    ('vae', 'norm_num_groups', 4)])
def test_whatever_changes_the_computation_is_compared(
        folder, reader, tmp_path, part, field, value):
    """U-Nets of other methods often have weights of the same shapes."""
    for other in ('unet', 'vae'):
        os.symlink(f'{folder}/{other}', tmp_path / other)
    os.unlink(tmp_path / part)
    shutil.copytree(f'{folder}/{part}', tmp_path / part)
    path = tmp_path / part / 'config.json'
    config = json.loads(path.read_text())
    assert config.get(field, 'a default') != value
    path.write_text(json.dumps(dict(config, **{field: value})))
    reader.pretrained = str(tmp_path)
    with pytest.raises(ValueError, match=(
            f'another {part} than arch says .*{field} is ')) as error:
        reader.init_weights()
    assert f'{field} is {value} there, ' in str(error.value)


def test_what_does_not_change_it_is_not_compared(folder, reader, tmp_path):
    shutil.copytree(folder, tmp_path / 'sd')
    for part, fields in (
            ('unet', dict(sample_size=7, upcast_attention=True, dropout=.1,
                          _diffusers_version='0.1', of_tomorrow=3)),
            ('vae', dict(sample_size=7, force_upcast=False,
                         latents_mean=[1.]))):
        path = tmp_path / 'sd' / part / 'config.json'
        config = json.loads(path.read_text())
        # a default may be written out or not, as one number or as several
        config.pop('act_fn')
        config['layers_per_block'] = 1 if part == 'vae' else [1] * 4
        path.write_text(json.dumps(dict(config, **fields)))
    reader.pretrained = str(tmp_path / 'sd')
    reader.init_weights()


@pytest.mark.parametrize('make', [
    lambda source: SDUNet(arch='mini', pretrained=source, out_indices=(4, )),
    lambda source: VAEDecodeHead(dict(type='MatteCodec'), 'mini',
                                 pretrained=source)])
def test_a_resumed_training_needs_no_pretrained_weights(make):
    """The checkpoint has them; they may be gone, or offline."""
    source, net = make(None), make('owner/gone')
    net.skip_pretrained = True
    net.init_weights()
    with pytest.raises(RuntimeError, match='call init_weights'):
        net.decode(0) if hasattr(net, 'decode') else net(
            torch.zeros(1, 3, 32, 32))
    net.load_state_dict(source.state_dict())
    for key, value in source.state_dict().items():
        assert torch.equal(net.state_dict()[key], value)
    # once only
    assert not net.skip_pretrained


def test_layer_depth_counts_the_parts_that_are_kept():
    net = SDUNet(arch='mini', out_indices=(2, ))
    depths = {'unet.conv_in.weight': 0, 'vae.encoder.conv_in.weight': 0,
              'unet.time_embedding.linear_1.weight': 0,
              'unet.down_blocks.3.resnets.0.conv1.weight': 4,
              'unet.mid_block.resnets.0.conv1.weight': 5,
              'unet.up_blocks.1.resnets.0.conv1.weight': 7}
    for name, depth in depths.items():
        net.get_parameter(name)
        assert net.get_layer_depth(name) == (depth, 9)
        assert net.get_layer_depth(f'backbone.{name}', 'backbone.') == (
            depth, 9)
    # above the last stage, as mmpretrain counts
    assert net.get_layer_depth('head.weight', 'backbone.') == (8, 9)
    net = SDUNet(arch='mini', out_indices=(4, ))
    assert net.get_layer_depth('unet.conv_out.weight') == (10, 12)


def test_within_a_step_timesteps_belong_to_images():
    net = SDUNet(arch='mini', train_timestep='random').train()

    def draw(places):
        with step_draws(0, 1, places):
            return net.draw_timesteps(len(places))

    whole = draw(range(6))
    assert torch.equal(whole, torch.cat([draw(range(2)), draw(range(2, 6))]))
    assert len(whole.unique()) > 3 and whole.dtype == torch.int64
