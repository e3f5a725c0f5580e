import logging

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData

from genpercept_mm.diffusion import (
    PROTOCOLS,
    build_protocol,
    gaussian_noise,
    multi_resolution_noise,
)
from genpercept_mm.diffusion.ensembling import ENSEMBLES
from genpercept_mm.models import DenseEstimator, LatentDiffusionEstimator

from mmseg.structures import SegDataSample  # isort: skip

MSE = dict(type='genpercept_mm.MaskedMSELoss')
STOCK = dict(beta_start=.00085, beta_end=.012, beta_schedule='scaled_linear',
             prediction_type='v_prediction', clip_sample=False)


def estimator(protocol='marigold', codec='AffineDepthCodec', backbone=(),
              head=(), weights=0, more=(), cls=LatentDiffusionEstimator,
              **test_cfg):
    """A small random model with the channels that the protocol needs."""
    channels = 4
    if (protocol if isinstance(protocol, str) else
            protocol['type']) == 'marigold':
        channels = 8
    torch.manual_seed(weights)
    with DefaultScope.overwrite_default_scope('mmseg'):
        return cls(
            backbone=dict(dict(
                type='genpercept_mm.SDUNet', arch='mini', out_indices=(4, ),
                in_channels=channels, train_timestep='random'),
                **dict(backbone)),
            decode_head=dict(dict(
                type='genpercept_mm.VAEDecodeHead', arch='mini',
                codec=dict(type=codec), loss_latent=MSE), **dict(head)),
            data_preprocessor=dict(
                type='genpercept_mm.OneStepDataPreprocessor',
                size_divisor=8),
            protocol=protocol, test_cfg=test_cfg, **dict(more)).eval()


def picture(seed=0, height=32, width=40):
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8,
                         generator=torch.Generator().manual_seed(seed))


def predict(model, *pictures, **meta):
    samples = [SegDataSample(metainfo=dict(dict(
        ori_shape=p.shape[1:], img_shape=p.shape[1:]), **meta))
        for p in pictures]
    with torch.no_grad():
        return model.test_step(dict(
            inputs=list(pictures), data_samples=samples))


def depths(model, *pictures):
    return [result.pred_depth_map.data
            for result in predict(model, *pictures)]


def batch(model, channels=1):
    """Two images with targets; one pixel of the first is invalid."""
    generator = torch.Generator().manual_seed(1)
    samples = []
    for n in range(2):
        mask = torch.ones(1, 32, 40).bool()
        mask[0, 9, 17] = n > 0
        sample = SegDataSample(metainfo=dict(
            ori_shape=(32, 40), img_shape=(32, 40)))
        sample.set_data(dict(
            gt_target=PixelData(data=torch.rand(
                channels, 32, 40, generator=generator) * 2 - 1),
            gt_target_mask=PixelData(data=mask)))
        samples.append(sample)
    return model.data_preprocessor(dict(
        inputs=[picture(0), picture(1)], data_samples=samples),
        training=True)


def losses(model, seed=0):
    model.train()
    data = batch(model, model.out_channels)
    torch.manual_seed(seed)
    return model(**data, mode='loss')


@pytest.mark.parametrize('ensemble_size', [1, 2])
def test_images_below_the_stride_of_the_vae(ensemble_size):
    """The repeated edge gives the same, from the same noise."""
    model = estimator('marigold', num_steps=2, ensemble_size=ensemble_size)
    image = picture(height=6, width=40)
    found, = depths(model, image)
    larger = torch.cat([image, image[:, -1:], image[:, -1:]], dim=1)
    expected, = depths(model, larger)
    assert found.shape == (1, 6, 40)
    torch.testing.assert_close(found, expected[:, :6], atol=1e-5, rtol=0)


# one step, both ways

@pytest.mark.parametrize('steps', [1, 10])
def test_one_step_predicts_the_same_as_the_general_path(steps):
    fast = estimator('one_step', cls=DenseEstimator)
    slow = estimator('one_step', num_steps=steps)
    calls = []
    velocity = slow.backbone.velocity
    slow.backbone.velocity = lambda *args: calls.append(0) or velocity(*args)
    expected = depths(fast, picture(0), picture(1))
    found = depths(slow, picture(0), picture(1))
    assert type(fast) is DenseEstimator and len(calls) == steps
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert expected[0].std() > 1e-3


def test_one_step_learns_the_same_as_by_the_general_path():
    results = []
    for cls in (DenseEstimator, LatentDiffusionEstimator):
        model = estimator('one_step', head=dict(loss_decode=MSE), cls=cls)
        found = losses(model)
        sum(found.values()).backward()
        found['grad'] = model.backbone.unet.conv_in.weight.grad
        results.append(found)
    assert set(results[0]) == {'decode.loss_mse', 'decode.loss_latent',
                               'grad'}
    scale = max(value.abs().max().item() for value in results[0].values())
    torch.testing.assert_close(*results, atol=1e-6 * scale, rtol=1e-4)
    # the drawn timesteps matter, so both have drawn the same
    other = losses(estimator('one_step', head=dict(loss_decode=MSE)), seed=1)
    assert other['decode.loss_latent'] != results[0]['decode.loss_latent']


# the name before there were two classes

@pytest.mark.parametrize('protocol, test_cfg', [
    ('marigold', dict()), ('dmp', dict(num_steps=2)),
    (dict(type='marigold', beta_start=1., beta_end=1.), dict()),
    ('one_step', dict(num_steps=3))])
def test_old_configs_build_the_class_of_several_steps(
        protocol, test_cfg):
    old = estimator(protocol, cls=DenseEstimator, **test_cfg)
    assert type(old) is LatentDiffusionEstimator
    new = estimator(protocol, **test_cfg)
    assert all(torch.equal(a, b) for a, b in zip(
        depths(old, picture()), depths(new, picture())))


def test_old_configs_without_protocol_take_one_step():
    given = estimator('one_step', num_steps=3)
    old = DenseEstimator(**dict(
        backbone=dict(type='genpercept_mm.SDUNet', arch='mini',
                      out_indices=(4, )),
        decode_head=dict(type='genpercept_mm.VAEDecodeHead', arch='mini',
                         codec=dict(type='AffineDepthCodec')),
        test_cfg=dict(num_steps=3)))
    assert type(old) is LatentDiffusionEstimator
    assert old.protocol.is_one_step
    assert old.protocol.schedule.fields == given.protocol.schedule.fields


@pytest.mark.parametrize('protocol', [
    'one_step', dict(type='dmp', beta_start=1., beta_end=1.)])
def test_one_step_stays_what_it_is(protocol):
    assert type(estimator(protocol, cls=DenseEstimator)) is DenseEstimator


def test_the_new_name_is_logged_once():
    logger = MMLogger.get_instance('new_name', logger_name='new_name')
    found = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(
        "model.type='genpercept_mm.LatentDiffusionEstimator'"
        in record.getMessage())
    logger.addHandler(handler)
    estimator('marigold')
    assert sum(found) == 0
    estimator('marigold', cls=DenseEstimator)
    assert sum(found) == 1


# training

@pytest.mark.parametrize('name', ['marigold', 'dmp'])
def test_loss_is_on_the_velocity(name):
    """Against diffusers' scheduler and a masked mean by hand."""
    model = estimator(name)
    found = losses(model)
    assert set(found) == {'decode.loss_latent'}

    data = batch(model)
    torch.manual_seed(0)
    t = torch.randint(1000, (2, ))
    stock = DDPMScheduler(**STOCK)
    encode = model.backbone.encode
    with torch.no_grad():
        image = encode(data['inputs'])
        label = encode(torch.stack([
            s.gt_target.data for s in data['data_samples']]).repeat(
                1, 3, 1, 1))
        noise = image if name == 'dmp' else multi_resolution_noise(
            label.shape, .9 * t / 1000)
        noisy = stock.add_noise(label, noise, t)
        inputs = noisy if name == 'dmp' else torch.cat([image, noisy], 1)
        prompt = model.backbone.prompt_embeds.expand(2, -1, -1)
        output = model.backbone.unet(inputs, t, prompt).sample
    squares = (output - stock.get_velocity(label, noise, t)).square()
    valid = torch.ones(2, 4, 4, 5).bool()
    valid[0, :, 1, 2] = False
    assert found['decode.loss_latent'].item() == pytest.approx(
        squares[valid].mean().item(), rel=1e-4)


def test_an_oracle_has_no_loss_and_predicts_the_decoded_label():
    """The clean latent that follows from the true velocity is the label's,
    at any timestep, so the decoded map is what the decoder makes of it."""
    model = estimator('marigold', num_steps=4, head=dict(loss_decode=MSE))
    data = batch(model)
    target = torch.stack([s.gt_target.data for s in data['data_samples']])
    alphas = model.protocol.schedule.alphas_cumprod
    with torch.no_grad():
        label = model.backbone.encode(target.repeat(1, 3, 1, 1))
        decoded = model.decode_head.decode(label)

    def oracle(inputs, t):
        alpha = alphas[t].reshape(-1, 1, 1, 1)
        return (alpha.sqrt() * inputs[:, 4:] - label) / (1 - alpha).sqrt()

    model.backbone.velocity = oracle
    found = losses(model)
    assert found['decode.loss_latent'] < 1e-8
    mask = torch.stack([s.gt_target_mask.data for s in data['data_samples']])
    assert found['decode.loss_mse'].item() == pytest.approx(
        (decoded - target)[mask].square().mean().item(), rel=1e-3)
    model.eval()
    predicted = torch.stack(depths(model, picture(0), picture(1)))
    torch.testing.assert_close(
        predicted, (decoded.clamp(-1, 1) + 1) / 2, atol=1e-4, rtol=0)


@pytest.mark.parametrize('name', [
    'marigold', pytest.param('dmp', marks=pytest.mark.nightly)])
def test_training_lowers_the_loss_of_a_batch(name):
    """The loss is noisy, so it is averaged over the same draws before and
    after."""
    model = estimator(name, num_steps=2)

    def mean_loss():
        with torch.no_grad():
            return sum(losses(model, seed)['decode.loss_latent'].item()
                       for seed in range(100, 104)) / 4

    before = mean_loss()
    optimizer = torch.optim.Adam(model.backbone.unet.parameters(), lr=2e-3)
    for step in range(15):
        optimizer.zero_grad()
        losses(model, step)['decode.loss_latent'].backward()
        optimizer.step()
    assert mean_loss() < .9 * before
    result, = predict(model.eval(), picture())
    assert result.pred_depth_map.data.shape == (1, 32, 40)
    assert result.pred_depth_map.data.isfinite().all()


def test_who_learns():
    """The VAE is frozen; with pixel losses gradients pass its decoder."""
    model = estimator('marigold', head=dict(
        loss_latent=None, loss_decode=MSE))
    found = losses(model)
    assert set(found) == {'decode.loss_mse'}
    found['decode.loss_mse'].backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    assert all((grad is None) == ('vae' in name)
               for name, grad in grads.items())
    # image and noisy label each have their channels
    conv_in = grads['backbone.unet.conv_in.weight'].abs().sum((0, 2, 3))
    assert conv_in.shape == (8, ) and (conv_in > 0).all()


# prediction

@pytest.mark.parametrize('protocol', [
    'marigold', dict(type='marigold', decode='sample', num_steps=4),
    'dmp', dict(type='marigold', beta_start=1, beta_end=1)])
def test_prediction_is_a_loop_of_unet_calls(protocol):
    """Written with diffusers where its step is right."""
    model = estimator(protocol, weights=3)
    cfg = protocol if isinstance(protocol, dict) else dict(type=protocol)
    steps = cfg.get('num_steps', 10)
    stock = DDIMScheduler(**STOCK, steps_offset=1, set_alpha_to_one=False)
    stock.set_timesteps(steps)
    backbone = model.backbone
    inputs = (picture()[None].float() / 255 * 2 - 1)
    with torch.no_grad():
        image = backbone.encode(inputs)
        sample = image
        if cfg['type'] == 'marigold':
            sample = gaussian_noise(
                (1, 4, 4, 5), torch.Generator().manual_seed(0))
        for t in stock.timesteps:
            stacked = sample
            if cfg['type'] == 'marigold':
                stacked = torch.cat([image, sample], 1)
            output = backbone.unet(
                stacked, t, backbone.prompt_embeds).sample
            if cfg.get('beta_start') == 1:
                clean = -output
                continue
            step = stock.step(output, t, sample)
            sample, clean = step.prev_sample, step.pred_original_sample
        latent = sample if cfg.get('decode') == 'sample' else clean
        vae = model.decode_head.vae
        expected = vae.decoder(vae.post_quant_conv(latent / .18215)).mean(
            1, keepdim=True).clamp(-1, 1)
    # the preprocessor turns BGR into RGB
    found, = depths(model, picture().flip(0))
    torch.testing.assert_close(
        found, (expected[0] + 1) / 2, atol=1e-5, rtol=0)


@pytest.mark.parametrize('codec,size', [
    ('AffineDepthCodec', 1), ('MatteCodec', 3), ('NormalCodec', 3)])
def test_a_seed_means_the_same_in_any_batch(codec, size):
    """Whatever else is in the batch, in any order, of any size, and whatever
    the global generator's state is. But for rounding, to which the alignment
    of ensembles of depths is sensitive."""
    model = estimator(codec=codec, num_steps=2, ensemble_size=size)
    pictures = [picture(n) for n in range(3)]

    def maps(*pictures):
        return [result.get(model.codec.pred_field).data
                for result in predict(model, *pictures)]

    together = maps(*pictures)
    torch.manual_seed(99)
    torch.testing.assert_close(
        maps(*pictures[::-1]), together[::-1], atol=1e-4, rtol=0)
    for one, expected in zip(pictures, together):
        torch.testing.assert_close(
            maps(one)[0], expected, atol=1e-4, rtol=0)
    mixed = maps(pictures[1], picture(7, 48, 32))
    torch.testing.assert_close(mixed[0], together[1], atol=1e-4, rtol=0)
    assert mixed[1].shape[1:] == (48, 32)


def test_noise_follows_the_name_of_the_image():
    model = estimator(num_steps=2)

    def maps(**meta):
        return predict(model, picture(), **meta)[0].pred_depth_map.data

    nameless, a = maps(), maps(sample_name='room/a')
    assert (maps(sample_name='room/b') - a).abs().mean() > 1e-3
    assert (a - nameless).abs().mean() > 1e-3
    # files may move, data sets' own names go first
    assert torch.equal(maps(img_path='x/a.png'), maps(img_path='y/a.png'))
    assert torch.equal(maps(sample_name='room/a', img_path='x/b.png'), a)


def test_seeds_differ():
    first, second = (depths(estimator(num_steps=2, seed=seed), picture())[0]
                     for seed in (0, 1))
    assert (first - second).abs().mean() > 1e-3


@pytest.mark.parametrize('codec,name', [
    ('AffineDepthCodec', 'affine'), ('NormalCodec', 'direction'),
    ('MatteCodec', 'mean')])
def test_members_become_one_as_the_codec_says(codec, name):
    """The members run as if one by one, each from its part of the draw."""
    model = estimator(codec=codec, num_steps=2, ensemble_size=3,
                      uncertainty=True)
    field = model.codec.pred_field
    results = predict(model, picture(0), picture(1))
    noise = gaussian_noise((3, 4, 4, 5), torch.Generator().manual_seed(0))
    inputs = model.data_preprocessor(
        dict(inputs=[picture(0), picture(1)]))['inputs']
    with torch.no_grad():
        outputs = model.encode_decode(inputs, None)
        image = model.backbone.encode(inputs)
        for row, output in enumerate(outputs):
            n, i = divmod(row, 3)
            latent = model.protocol.sample(
                model.backbone.velocity, image[n:n + 1],
                noise=noise[i:i + 1], num_steps=2)
            torch.testing.assert_close(
                output, model.decode_head.decode(latent)[0], atol=1e-4,
                rtol=0)
    assert (outputs[0] - outputs[1]).abs().mean() > 1e-3
    for result, members in zip(results, outputs.clamp(-1, 1).split(3)):
        merged, spread = ENSEMBLES[name](members, uncertainty=True)
        assert torch.equal(result.get(field).data,
                           model.codec.decode(merged[None])[0])
        found = result.get(
            field.replace('_map', '_uncertainty_map')).data
        assert found.shape == (1, 32, 40) and found.max() > 1e-3
        assert torch.equal(found, spread)


def test_uncertainty_only_if_asked_for():
    result, = predict(estimator(num_steps=1, ensemble_size=3), picture())
    assert set(result.keys()) == {'pred_depth_map'}


def test_uncertainty_follows_resizing_and_flips():
    model = estimator(num_steps=1, ensemble_size=3, uncertainty=True)
    plain, = predict(model, picture())
    spread = plain.pred_depth_uncertainty_map.data
    larger, = predict(model, picture(), ori_shape=(64, 80))
    large = larger.pred_depth_uncertainty_map.data
    assert large.shape == (1, 64, 80)
    torch.testing.assert_close(large.mean(), spread.mean(), rtol=.02, atol=0)
    back, = predict(model, picture(), flip=True)
    assert torch.equal(back.pred_depth_uncertainty_map.data,
                       spread.flip(-1))
    # flip=True averages with the spread of the mirrored image, turned back
    mirrored, = predict(model, picture().flip(-1))
    both, = predict(estimator(num_steps=1, ensemble_size=3, uncertainty=True,
                              flip=True), picture())
    expected = (spread + mirrored.pred_depth_uncertainty_map.data.flip(
        -1)) / 2
    torch.testing.assert_close(
        both.pred_depth_uncertainty_map.data, expected, atol=1e-3, rtol=0)


def test_uncertainty_of_images_of_several_sizes():
    model = estimator(num_steps=1, ensemble_size=3, uncertainty=True)
    pictures = [picture(0), picture(1, 48, 32)]
    for one, result in zip(pictures, predict(model, *pictures)):
        alone, = predict(model, one)
        torch.testing.assert_close(
            result.pred_depth_uncertainty_map.data,
            alone.pred_depth_uncertainty_map.data, atol=1e-3, rtol=0)


def test_windows_of_an_ensemble():
    model = estimator(codec='MatteCodec', num_steps=1, ensemble_size=2,
                      mode='slide', crop_size=(32, 32), stride=(32, 32))
    result, = predict(model, picture(0, 32, 64))
    found = result.pred_alpha_map.data
    # windows that touch are predicted on their own, from the same draw
    whole = estimator(codec='MatteCodec', num_steps=1, ensemble_size=2)
    for left in (0, 32):
        part, = predict(whole, picture(0, 32, 64)[..., left:left + 32])
        torch.testing.assert_close(
            found[..., left:left + 32], part.pred_alpha_map.data,
            atol=1e-4, rtol=0)


def test_tensor_mode():
    model = estimator(num_steps=1, ensemble_size=2)
    with torch.no_grad():
        output = model(torch.zeros(3, 3, 32, 40), mode='tensor')
    assert output.shape == (6, 1, 32, 40)
    # equal images: members differ, images do not
    torch.testing.assert_close(output[:2], output[4:], atol=1e-4, rtol=0)
    assert (output[0] - output[1]).abs().mean() > 1e-3


# errors

@pytest.mark.parametrize('name', PROTOCOLS)
def test_channels_of_the_backbone_must_fit(name):
    needed = build_protocol(name).in_channels
    wrong = 12 - needed
    with pytest.raises(ValueError, match=f'in_channels is {wrong}; set it '
                       f'to {needed}'):
        estimator(name, backbone=dict(in_channels=wrong))


def test_other_protocols_need_the_latent():
    for name in ('marigold', 'dmp'):
        with pytest.raises(ValueError, match='decode_head.*VAEDecodeHead'):
            with DefaultScope.overwrite_default_scope('mmseg'):
                LatentDiffusionEstimator(
                    backbone=dict(
                        type='genpercept_mm.SDUNet', arch='mini',
                        in_channels=build_protocol(name).in_channels),
                    decode_head=dict(
                        type='genpercept_mm.DPTDecodeHead',
                        in_channels=(32, 64, 96, 96),
                        codec=dict(type='AffineDepthCodec')),
                    protocol=name)
        with pytest.raises(ValueError, match=r'out_indices.*\(4, \)'):
            estimator(name, backbone=dict(out_indices=(0, 1)))


def test_no_neck_and_no_other_clock():
    with pytest.raises(ValueError, match='neck.*remove'):
        estimator(more=dict(neck=dict(
            type='FPN', in_channels=[4], out_channels=4, num_outs=1)))
    with pytest.raises(ValueError, match='num_train_timesteps.*1000'):
        estimator(dict(type='marigold', num_train_timesteps=500))


@pytest.mark.parametrize('protocol,test_cfg,message', [
    ('ddpm', dict(), "'ddpm'"),
    (dict(type='marigold', steps=3), dict(), "'steps'"),
    ('marigold', dict(num_steps=0), 'num_steps.*1..1000'),
    ('marigold', dict(num_steps=1001), 'num_steps.*1..1000'),
    ('one_step', dict(num_steps=0), 'num_steps.*1..1000'),
    ('marigold', dict(ensemble_size=0), 'ensemble_size.*positive'),
    ('dmp', dict(ensemble_size=5), 'ensemble_size=5 is pointless.*equal'),
    ('one_step', dict(ensemble_size=2), 'pointless.*marigold'),
    ('marigold', dict(uncertainty=True), 'uncertainty.*ensemble_size'),
    ('marigold', dict(uncertainty=True, ensemble_size=3, mode='slide',
                      crop_size=(32, 32), stride=(16, 16)),
     "uncertainty.*mode='whole'"),
    (dict(type='one_step', timestep_spacing='trailing'), dict(),
     'backbone.timestep'),
    ('marigold', dict(members=3), 'members')])
def test_bad_sampling(protocol, test_cfg, message):
    with pytest.raises(ValueError, match=message):
        estimator(protocol, **test_cfg)


def test_colours_of_classes_are_no_quantity_to_average():
    with pytest.raises(ValueError, match='ColormapCodec.*ensemble_size=1'):
        estimator(codec='ColormapCodec', ensemble_size=3)


@pytest.mark.parametrize('protocol,visited', [
    (dict(type='marigold', num_steps=1), 1),
    (dict(type='dmp', num_steps=1, timestep_spacing='trailing'), 999)])
def test_the_one_timestep_that_is_trained_is_the_one_visited(
        protocol, visited):
    right = estimator(protocol, backbone=dict(train_timestep=visited))
    assert losses(right)['decode.loss_latent'] > 0
    with pytest.raises(ValueError, match=fr'\[{visited}\].*or {visited}'):
        losses(estimator(protocol, backbone=dict(train_timestep=500)))
    with pytest.raises(ValueError, match='backbone.timestep, got 500'):
        estimator(protocol, backbone=dict(timestep=500))


def test_a_unet_of_samples_is_run_as_by_diffusers():
    """One step of DDIM whose model predicts the clean sample."""
    protocol = dict(type='marigold', num_steps=1,
                    schedule=dict(timestep_spacing='trailing'))
    model = estimator(protocol, backbone=dict(prediction_type='sample'))
    image = torch.rand(1, 3, 24, 32) * 2 - 1
    noise = torch.randn(1, 4, 3, 4)
    with torch.no_grad():
        latent = model.backbone.encode(image)
        output = model.backbone.velocity(torch.cat([latent, noise], 1), 999)
        found = model.protocol.sample(model._velocity, latent, noise=noise)
    scheduler = DDIMScheduler(
        beta_start=.00085, beta_end=.012, beta_schedule='scaled_linear',
        prediction_type='sample', clip_sample=False, set_alpha_to_one=False,
        steps_offset=1, timestep_spacing='trailing')
    scheduler.set_timesteps(1)
    theirs = scheduler.step(output, 999, noise).pred_original_sample
    torch.testing.assert_close(found, theirs, rtol=1e-5, atol=1e-5 * float(
        theirs.abs().max()))


def test_bad_training():
    with pytest.raises(ValueError, match='loss_decode, loss_latent or both'):
        losses(estimator(head=dict(loss_latent=None)))
    with pytest.raises(ValueError, match="train_timestep='random'"):
        losses(estimator(backbone=dict(train_timestep=None)))
    # one fixed timestep is enough for one step
    found = losses(estimator(dict(type='marigold', num_steps=1),
                             backbone=dict(train_timestep=None)))
    assert found['decode.loss_latent'] > 0
