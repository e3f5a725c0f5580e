import pytest
import torch
from conftest import assert_near
from diffusers import DDIMScheduler

from genpercept_mm.diffusion import (
    PROTOCOLS,
    DiffusionProtocol,
    build_protocol,
    gaussian_noise,
    multi_resolution_noise,
    split_velocity,
)
from genpercept_mm.utils.step_draws import step_draws


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def latents(count=2, batch=2, dtype=torch.float32):
    return torch.randn(
        count, batch, 4, 6, 8, generator=seeded(3), dtype=dtype).unbind()


def test_the_three_protocols():
    traits = {}
    for name in PROTOCOLS:
        p = build_protocol(name)
        alphas = p.schedule.alphas_cumprod
        traits[name] = (p.noise, p.concat, p.in_channels, p.stochastic,
                        p.num_steps, p.is_one_step, p.multi_res,
                        round(float(alphas[-1]), 5))
    assert traits == dict(
        marigold=('gaussian', True, 8, True, 10, False, .9, .00466),
        dmp=('image', False, 4, False, 10, False, 0, .00466),
        one_step=('image', False, 4, False, 1, True, 0, 0))


def test_fields_can_be_changed():
    protocol = build_protocol(dict(
        type='marigold', multi_res=0, beta_start=1, beta_end=1, num_steps=4))
    assert protocol.stochastic and not protocol.is_one_step
    assert not protocol.schedule.alphas_cumprod.any()
    assert build_protocol(protocol) is protocol
    assert PROTOCOLS['marigold']['multi_res'] == .9
    assert build_protocol(dict(
        type='dmp', beta_start=1, beta_end=1)).is_one_step


def test_the_schedule_is_a_dict_or_stands_beside():
    nested, flat = (build_protocol(dict(type='marigold', **fields))
                    for fields in (
        dict(schedule=dict(beta_end=.1, timestep_spacing='trailing')),
        dict(beta_end=.1, timestep_spacing='trailing')))
    assert nested.schedule.fields == flat.schedule.fields
    assert nested.schedule.fields['beta_start'] == .00085
    # a field that is not changed stays that of the named protocol
    assert build_protocol(dict(
        type='one_step', schedule=dict(beta_start=.5))).schedule.fields[
            'beta_end'] == 1
    with pytest.raises(ValueError, match=r"NoiseSchedule.*\['beta'\]"):
        build_protocol(dict(type='dmp', schedule=dict(beta=1)))


def test_one_step_trains_minus_the_label_from_the_image():
    image, label = latents()
    network_input, target, sample, alpha = build_protocol(
        'one_step').training_pair(image, label, torch.tensor([0, 731]))
    assert torch.equal(network_input, image)
    assert torch.equal(sample, image)
    assert torch.equal(target, -label)
    assert not alpha.any()


def test_dmp_blends_the_image_into_the_label():
    image, label = latents(dtype=torch.float64)
    t = torch.tensor([100, 900])
    network_input, target, sample, alpha = build_protocol(
        'dmp').training_pair(image, label, t)
    assert network_input is sample or torch.equal(network_input, sample)
    signal = torch.tensor([.8942, .014047]).double().sqrt().view(2, 1, 1, 1)
    noise = (1 - signal**2).sqrt()
    expected = signal * label + noise * image
    torch.testing.assert_close(sample, expected, atol=2e-3, rtol=0)
    torch.testing.assert_close(
        target, signal * image - noise * label, atol=2e-3, rtol=0)


@pytest.mark.parametrize('changes', [
    dict(), dict(annealed=False), dict(multi_res=0)])
def test_marigold_concatenates_the_image_and_the_noisy_label(changes):
    image, label = latents()
    t = torch.tensor([5, 900])
    protocol = build_protocol(dict(type='marigold', **changes))
    network_input, target, sample, alpha = protocol.training_pair(
        image, label, t, seeded())
    assert torch.equal(network_input[:, :4], image)
    assert torch.equal(network_input[:, 4:], sample)
    clean, noise = split_velocity(sample, target, alpha)
    torch.testing.assert_close(clean, label, atol=1e-5, rtol=1e-5)
    if changes.get('multi_res') == 0:
        expected = gaussian_noise(label.shape, seeded())
    else:
        expected = multi_resolution_noise(
            label.shape, .9 if changes else .9 * t / 1000, seeded())
    torch.testing.assert_close(noise, expected, atol=1e-5, rtol=1e-5)


def test_one_timestep_for_all_samples():
    image, label = latents()
    protocol = build_protocol('marigold')
    for one, other in zip(
            protocol.training_pair(image, label, 400, seeded()),
            protocol.training_pair(
                image, label, torch.tensor([400, 400]), seeded())):
        torch.testing.assert_close(*torch.broadcast_tensors(one, other))


@pytest.mark.parametrize('name', PROTOCOLS)
def test_half_precision_is_for_the_network_only(name):
    image, label = latents(dtype=torch.float16)
    protocol = build_protocol(name)
    results = protocol.training_pair(image, label, 400)
    assert [x.dtype for x in results] == [torch.float16] + [torch.float32] * 3
    seen = []

    def predict(x, t):
        seen.append(x.dtype)
        return x[:, :4]

    result = protocol.sample(predict, image, seeded())
    assert result.dtype == torch.float16
    assert set(seen) == {torch.float16}
    assert len(seen) == protocol.num_steps


@pytest.mark.parametrize('name', ['marigold', 'dmp'])
@pytest.mark.parametrize('steps', [1, 4, 10, 50])
@pytest.mark.parametrize('change', [
    dict(), dict(timestep_spacing='trailing'),
    dict(set_alpha_to_one=True, rescale_betas_zero_snr=True)])
def test_the_true_velocity_leads_to_the_clean_latent(name, steps, change):
    """An oracle knows the label. The noise it finds in the first sample
    stays the same to the end, where the final alpha-bar leaves a known share
    of it."""
    image, label = latents(dtype=torch.float64)
    start = gaussian_noise(image.shape, seeded(7)).double()
    found = []

    for decode in ('clean', 'sample'):
        protocol = build_protocol(dict(type=name, decode=decode, **change))
        alphas = protocol.schedule.alphas_cumprod
        noises = []

        def oracle(x, t):
            signal, rest = alphas[t].sqrt(), (1 - alphas[t]).sqrt()
            noises.append((x[:, -4:] - signal * label) / rest)
            return signal * noises[-1] - rest * label

        draw = dict(noise=start) if protocol.stochastic else {}
        found.append(protocol.sample(oracle, image, num_steps=steps, **draw))
        assert len(noises) == steps
        for noise in noises:
            torch.testing.assert_close(
                noise, noises[0], atol=1e-4, rtol=1e-4)
    assert_near(found[0], label)
    final = 1. if change.get('set_alpha_to_one') else alphas[0].item()
    torch.testing.assert_close(
        found[1], final**.5 * label + (1 - final)**.5 * noises[0],
        atol=1e-5, rtol=0)


@pytest.mark.parametrize('steps', [1, 4, 10])
@pytest.mark.parametrize('change', [
    dict(), dict(timestep_spacing='trailing', rescale_betas_zero_snr=True),
    dict(set_alpha_to_one=True, steps_offset=0)])
def test_samples_as_diffusers_scheduler_in_a_loop(steps, change):
    """The network depends on everything it is given."""
    image, noise = latents()
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(8, 4, 3, padding=1)

    def network(x, t):
        return torch.tanh(conv(x)) * (1 + t / 1000)

    fields = dict(dict(set_alpha_to_one=False, steps_offset=1), **change)
    stock = DDIMScheduler(
        beta_start=.00085, beta_end=.012, beta_schedule='scaled_linear',
        prediction_type='v_prediction', clip_sample=False, **fields)
    stock.set_timesteps(steps)
    sample = noise
    with torch.no_grad():
        for t in stock.timesteps:
            step = stock.step(
                network(torch.cat([image, sample], 1), t), t, sample)
            sample = step.prev_sample
    for decode, expected in (('sample', sample),
                             ('clean', step.pred_original_sample)):
        protocol = build_protocol(
            dict(type='marigold', decode=decode, **change))
        torch.testing.assert_close(
            protocol.sample(network, image, noise=noise, num_steps=steps),
            expected, atol=1e-5, rtol=1e-5)


def test_ten_steps_at_betas_of_one_are_one_step():
    """With the U-Net: each step sees the image, the last one counts. Where
    the noise is Gaussian the last one counts too, but sees the draw."""
    from genpercept_mm.models import SDUNet
    torch.manual_seed(0)
    backbone = SDUNet('mini', out_indices=(4, )).eval()
    picture = torch.rand(2, 3, 40, 48) * 2 - 1
    protocol = build_protocol('one_step')
    seen = []

    def predict(x, t):
        seen.append((x, t))
        return backbone.velocity(x, t)

    with torch.no_grad():
        image = backbone.encode(picture)
        fast, = backbone(picture)
    ten = protocol.sample(predict, image, num_steps=10)
    assert [t for _, t in seen] == list(range(901, 0, -100))
    assert all(torch.equal(x, image) for x, _ in seen)
    one = protocol.sample(predict, image, num_steps=1)
    assert_near(ten, one)
    assert_near(ten, fast)
    # the timesteps do matter to this network
    other = protocol.sample(predict, image, timesteps=[901])
    assert (other - ten).abs().max() > 1e-4


def test_gaussian_noise_at_betas_of_one_stays():
    image, noise = latents()
    protocol = build_protocol(
        dict(type='marigold', beta_start=1, beta_end=1))
    seen = []

    def predict(x, t):
        seen.append(x)
        return x[:, 4:] * t

    found = protocol.sample(predict, image, noise=noise)
    assert all(torch.equal(x, torch.cat([image, noise], 1)) for x in seen)
    assert torch.equal(found, -noise)


def test_where_sampling_starts():
    image, noise = latents()

    def first_input(name, *args, **kwargs):
        seen = []
        build_protocol(name).sample(
            lambda x, t: seen.append(x) or x[:, -4:], image, *args, **kwargs)
        return seen[0]

    expected = torch.cat([image, gaussian_noise(image.shape, seeded(4))], 1)
    # never multi-resolution
    assert torch.equal(first_input('marigold', seeded(4)), expected)
    torch.manual_seed(4)
    assert torch.equal(first_input('marigold'), expected)
    assert torch.equal(first_input('marigold', noise=noise)[:, 4:], noise)
    assert torch.equal(first_input('dmp'), image)


def test_chosen_timesteps():
    image, noise = latents()
    visited = []

    def predict(x, t):
        visited.append(t)
        return x[:, 4:] * .3

    for decode in ('clean', 'sample'):
        protocol = build_protocol(dict(type='marigold', decode=decode))
        found = protocol.sample(
            predict, image, noise=noise, timesteps=[751, 501, 251, 1])
        torch.testing.assert_close(found, protocol.sample(
            predict, image, noise=noise, num_steps=4))
    assert visited == [751, 501, 251, 1] * 4
    other = protocol.sample(predict, image, noise=noise, timesteps=[700, 3])
    assert (other - found).abs().max() > 1e-3


def test_no_gradients_while_sampling():
    image, _ = latents()
    weight = torch.ones((), requires_grad=True)
    found = build_protocol('dmp').sample(lambda x, t: x * weight, image)
    assert not found.requires_grad


def test_bad_arguments():
    image, noise = latents()
    for fields, message in (
            (dict(noise='rgb'), "noise must be one of .*'rgb'"),
            (dict(decode='last'), 'decode must be one of'),
            (dict(multi_res=2), 'multi_res must be in'),
            (dict(noise='image', multi_res=.9), 'multi_res.*set it to 0'),
            (dict(num_steps=0), 'num_steps must be .* 1..1000'),
            (dict(num_steps=1001), 'num_steps must be .* 1..1000'),
            (dict(schedule=dict(beta_start=1, beta_end=1), decode='sample'),
             "'clean'")):
        with pytest.raises(ValueError, match=message):
            DiffusionProtocol(**fields)
    with pytest.raises(ValueError, match='dmp.*marigold.*one_step.*ddpm'):
        build_protocol('ddpm')
    with pytest.raises(ValueError, match='type must be one of'):
        build_protocol(dict(num_steps=4))
    with pytest.raises(ValueError, match='unexpected.*steps.*num_steps'):
        build_protocol(dict(type='marigold', steps=4))
    with pytest.raises(ValueError, match='starts from the image'):
        build_protocol('dmp').sample(None, image, noise=noise)
    with pytest.raises(ValueError, match='pass only one'):
        build_protocol('dmp').sample(
            None, image, num_steps=2, timesteps=[1])
    with pytest.raises(ValueError, match='num_steps'):
        build_protocol('dmp').sample(None, image, num_steps=0)


@pytest.mark.parametrize('cfg', [True, 3, ['marigold'], None])
def test_what_is_no_protocol_is_refused(cfg):
    with pytest.raises(TypeError, match='protocol must be a name or a dict'):
        build_protocol(cfg)


@pytest.mark.parametrize('name', ['marigold', 'dmp'])
def test_within_a_step_noise_belongs_to_images(name):
    protocol = build_protocol(name)
    image, label = latents(batch=4)
    times = torch.tensor([3, 400, 700, 999])

    def pair(places):
        chosen = list(places)
        with step_draws(1, 2, chosen):
            return protocol.training_pair(
                image[chosen], label[chosen], times[chosen])[1]

    assert torch.equal(pair(range(4)), torch.cat([
        pair(range(2)), pair(range(2, 4))]))
