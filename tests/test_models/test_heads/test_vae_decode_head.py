import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from genpercept_mm.models import SDUNet, VAEDecodeHead
from genpercept_mm.models.utils.sd_archs import ARCHS

DEPTH = dict(type='AffineDepthCodec')
MSE = dict(type='genpercept_mm.MaskedMSELoss')


def autoencoder():
    from diffusers import AutoencoderKL
    torch.manual_seed(0)
    return AutoencoderKL(**ARCHS['mini']['vae']).eval()


def folder_with(vae, path):
    """A diffusers folder; the head reads its VAE only."""
    vae.save_pretrained(str(path / 'vae'))
    (path / 'unet').mkdir()
    (path / 'unet' / 'config.json').write_text('{}')
    return str(path)


def samples(target, mask=None):
    if mask is None:
        mask = torch.ones_like(target[:, :1]).bool()
    out = []
    for one, valid in zip(target, mask):
        sample = SegDataSample()
        sample.set_data(dict(gt_target=PixelData(data=one),
                             gt_target_mask=PixelData(data=valid)))
        out.append(sample)
    return out


@pytest.mark.parametrize('codec', [DEPTH, dict(type='NormalCodec')])
def test_decodes_as_diffusers_does(codec, tmp_path):
    vae = autoencoder()
    head = VAEDecodeHead(
        codec, 'mini', pretrained=folder_with(vae, tmp_path))
    head.init_weights()
    latent = torch.randn(2, 4, 5, 7)
    with torch.no_grad():
        expected = vae.decode(latent / .18215).sample
        if codec is DEPTH:
            expected = expected.mean(1, keepdim=True)
        found = head([torch.zeros(1), latent])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert head.bound(found).abs().max() <= 1


def test_stable_diffusion_size():
    """Decoder and post_quant_conv of SD 2.1: 49,490,199."""
    with torch.device('meta'):
        head = VAEDecodeHead(DEPTH, 'sd21', decoder='finetune',
                             loss_decode=MSE)
    assert sum(p.numel() for p in head.parameters()) == 49490199


@pytest.mark.parametrize('decoder', ['frozen', 'finetune', 'scratch'])
def test_who_learns_and_from_where(decoder, tmp_path):
    vae = autoencoder()
    torch.manual_seed(1)
    head = VAEDecodeHead(
        DEPTH, 'mini', decoder=decoder, loss_decode=MSE,
        pretrained=folder_with(vae, tmp_path))
    head.init_weights()
    same = torch.equal(head.vae.decoder.conv_in.weight,
                       vae.decoder.conv_in.weight)
    assert same == (decoder != 'scratch')
    head.train()
    assert head.vae.decoder.training == (decoder != 'frozen')
    latent = torch.randn(1, 4, 4, 4, requires_grad=True)
    loss = head.loss([latent], samples(torch.rand(1, 1, 32, 32)))
    loss['loss_mse'].backward()
    assert latent.grad.abs().sum() > 0
    grads = [p.grad for p in head.vae.parameters()]
    assert all((g is None) == (decoder == 'frozen') for g in grads)


def test_pixel_loss_reaches_every_trained_tensor_of_the_unet():
    """Through a frozen decoder; a finite difference agrees."""
    torch.manual_seed(0)
    backbone = SDUNet('mini', out_indices=(4, ))
    head = VAEDecodeHead(DEPTH, 'mini', loss_decode=MSE)
    image, target = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 64, 64)

    def loss():
        return head.loss(backbone(image), samples(target))['loss_mse']

    loss().backward()
    grads = {n: p.grad for n, p in backbone.unet.named_parameters()}
    assert all(g is not None and g.abs().sum() > 0 for n, g in grads.items()
               # keys shift all scores alike where values are equal
               if 'attn2.to_q' not in n and 'attn2.to_k' not in n)
    bias = backbone.unet.conv_out.bias
    step = 1e-2
    with torch.no_grad():
        bias[0] += step
        above = loss()
        bias[0] -= 2 * step
        below = loss()
    assert ((above - below) / (2 * step)).item() == pytest.approx(
        grads['conv_out.bias'][0].item(), rel=2e-2)


def test_checkpointing_changes_nothing_but_memory():
    results = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        head = VAEDecodeHead(DEPTH, 'mini', loss_decode=MSE, with_cp=with_cp)
        head.train()
        latent = torch.ones(1, 4, 4, 4, requires_grad=True)
        saved = []
        with torch.autograd.graph.saved_tensors_hooks(
                lambda t: saved.append(t.numel()) or t, lambda t: t):
            loss = head.loss([latent], samples(torch.zeros(1, 1, 32, 32)))
        loss['loss_mse'].backward()
        results.append((loss['loss_mse'].item(), latent.grad, sum(saved)))
    assert results[0][0] == results[1][0]
    torch.testing.assert_close(results[0][1], results[1][1])
    assert results[1][2] < results[0][2] / 2


def test_latent_loss_compares_latents_and_decodes_nothing():
    torch.manual_seed(0)
    head = VAEDecodeHead(DEPTH, 'mini', loss_latent=MSE)
    head.vae.decoder.forward = None
    latent, label = torch.randn(2, 2, 4, 4, 6)
    cells = torch.ones(2, 1, 4, 6).bool()
    cells[0, 0, 1, 2] = False
    losses = head.loss([latent], samples(torch.zeros(2, 1, 32, 48)),
                       latent_target=(label, cells))
    assert set(losses) == {'loss_latent'}
    assert losses['loss_latent'].item() == pytest.approx(
        (latent - label).square()[cells.expand(-1, 4, -1, -1)].mean().item(),
        rel=1e-5)


def test_both_losses_at_once():
    head = VAEDecodeHead(DEPTH, 'mini', loss_latent=MSE, loss_decode=MSE)
    latent = torch.zeros(1, 4, 4, 4)
    losses = head.loss(
        [latent], samples(torch.zeros(1, 1, 32, 32)),
        latent_target=(latent, torch.ones(1, 1, 4, 4).bool()))
    assert set(losses) == {'loss_latent', 'loss_mse'}
    assert losses['loss_latent'] == 0 and losses['loss_mse'] > 0


@pytest.mark.parametrize('names, expected', [
    ((None, None), {'loss_latent', 'loss_mse'}),
    (('loss_velocity', None), {'loss_velocity', 'loss_mse'}),
    ((None, 'loss_map'), {'loss_latent', 'loss_map'}),
    # as mmseg adds losses of one name
    (('loss_mse', None), {'loss_mse'}), (('loss_x', 'loss_x'), {'loss_x'})])
def test_losses_have_the_names_that_were_given(names, expected):
    torch.manual_seed(0)
    configs = [MSE if name is None else dict(MSE, loss_name=name)
               for name in names]
    head = VAEDecodeHead(
        DEPTH, 'mini', loss_latent=dict(configs[0], loss_weight=.5),
        loss_decode=configs[1])
    latent, label = torch.randn(2, 1, 4, 4, 4)
    target = torch.rand(1, 1, 32, 32)
    losses = head.loss([latent], samples(target), latent_target=(
        label, torch.ones(1, 1, 4, 4).bool()))
    assert set(losses) == expected
    total = .5 * (latent - label).square().mean() + (
        head([latent]) - target).square().mean()
    assert sum(losses.values()).item() == pytest.approx(
        total.item(), rel=1e-5)


def test_losses_of_a_velocity_and_the_clean_latent_it_gives():
    """One is compared as it is, where cells are valid, one is decoded."""
    torch.manual_seed(0)
    head = VAEDecodeHead(DEPTH, 'mini', loss_latent=MSE, loss_decode=MSE)
    clean, velocity, expected = torch.randn(3, 2, 4, 4, 6)
    target = torch.rand(2, 1, 32, 48) * 2 - 1
    mask = torch.ones(2, 1, 32, 48).bool()
    mask[1, 0, :, :8] = False
    cells = torch.ones(2, 1, 4, 6).bool()
    cells[1, 0, :, 0] = False
    losses = head.loss_by_latent(
        clean, samples(target, mask), velocity, expected, cells)
    assert losses['loss_latent'].item() == pytest.approx(
        (velocity - expected).square()[
            cells.expand(-1, 4, -1, -1)].mean().item(), rel=1e-5)
    assert losses['loss_mse'].item() == pytest.approx(
        (head([clean]) - target)[mask].square().mean().item(), rel=1e-5)


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match='decoder'):
        VAEDecodeHead(DEPTH, 'mini', decoder='trained')
    with pytest.raises(ValueError, match='learns from loss_decode'):
        VAEDecodeHead(DEPTH, 'mini', decoder='finetune', loss_latent=MSE)
    with pytest.raises(ValueError, match='loss_decode'):
        VAEDecodeHead(DEPTH, 'mini').loss(
            [torch.zeros(1, 4, 2, 2)], samples(torch.zeros(1, 1, 16, 16)))
    with pytest.raises(ValueError, match='DenseEstimator'):
        VAEDecodeHead(DEPTH, 'mini', loss_latent=MSE).loss(
            [torch.zeros(1, 4, 2, 2)], samples(torch.zeros(1, 1, 16, 16)))
    head = VAEDecodeHead(
        DEPTH, 'mini', pretrained=folder_with(autoencoder(), tmp_path))
    with pytest.raises(RuntimeError, match='init_weights'):
        head([torch.zeros(1, 4, 2, 2)])
    with pytest.raises(FileNotFoundError, match='nowhere'):
        VAEDecodeHead(DEPTH, 'mini', pretrained='/nowhere').init_weights()
    state = head.state_dict()
    state.pop('vae.decoder.conv_in.weight')
    with pytest.raises(RuntimeError, match='another architecture'):
        head.load_state_dict(state, strict=False)
