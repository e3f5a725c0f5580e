import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from genpercept_mm.diffusion import NoiseSchedule

T = (0, 1, 100, 250, 500, 750, 901, 999)
# alpha-bar at T, as far as published digits go
TABLE = {
    (.0002125, .003): '.9998 .9996 .9724 .9061 .7253 .4875 .3449 .2622',
    (.000425, .006): '.9996 .9991 .9456 .8209 .5259 .2374 .1187 .0686',
    (.00085, .012): '.9992 .9983 .8942 .6738 .2763 .05617 .0140 .00466',
    (.0034, .048): '.9966 .9932 .6389 .2053 5.692e-3 9.12e-6 3.26e-8 '
    '3.70e-10',
    (.136, .192): '.864 .7465 2.86e-7 1.7e-17 6.8e-36 0 0 0',
    (.544, .768): '.456 .2078 3.5e-36 0 0 0 0 0',
    (1., 1.): '0 0 0 0 0 0 0 0',
}


def scheduler(**fields):
    return DDIMScheduler(**dict(dict(
        beta_start=.00085, beta_end=.012, beta_schedule='scaled_linear',
        prediction_type='v_prediction', clip_sample=False,
        set_alpha_to_one=False, steps_offset=1), **fields))


@pytest.mark.parametrize('betas', TABLE)
def test_alphas_of_the_ablations(betas):
    alphas = NoiseSchedule(*betas).alphas_cumprod
    assert alphas.dtype == torch.float32 and alphas.shape == (1000, )
    for t, printed in zip(T, TABLE[betas].split(), strict=True):
        mantissa, _, exponent = printed.partition('e')
        digits = len(mantissa.partition('.')[2])
        unit = 10.**(int(exponent or 0) - digits) if digits else 0
        assert abs(float(alphas[t]) - float(printed)) <= .51 * unit, t


def test_alphas_by_hand():
    """Multiply in double precision, one factor at a time."""
    alphas = NoiseSchedule(.001, .04, num_train_timesteps=5).alphas_cumprod
    product = 1.
    for i in range(5):
        root = .001**.5 + (.04**.5 - .001**.5) * i / 4
        product *= 1 - root**2
        assert float(alphas[i]) == pytest.approx(product, rel=1e-6)


@pytest.mark.parametrize('steps,expected', [
    (1, [1]), (4, [751, 501, 251, 1]), (10, list(range(901, 0, -100))),
    (50, list(range(981, 0, -20)))])
def test_leading_timesteps(steps, expected):
    assert NoiseSchedule().timesteps(steps) == expected


@pytest.mark.parametrize('spacing', ['leading', 'trailing'])
@pytest.mark.parametrize('steps', [1, 3, 4, 10, 50])
def test_timesteps_and_alphas_as_diffusers(spacing, steps):
    stock = scheduler(timestep_spacing=spacing)
    stock.set_timesteps(steps)
    ours = NoiseSchedule(timestep_spacing=spacing)
    assert ours.timesteps(steps) == stock.timesteps.tolist()
    for t in ours.timesteps(steps):
        assert ours.alpha(t) == stock.alphas_cumprod[t]
        previous = t - 1000 // steps
        assert ours.previous_alpha(t, steps) == (
            stock.alphas_cumprod[previous] if previous >= 0
            else stock.alphas_cumprod[0])


def test_trailing_starts_at_the_end():
    schedule = NoiseSchedule(timestep_spacing='trailing')
    assert schedule.timesteps(4) == [999, 749, 499, 249]
    # here diffusers' rounding appends timestep -1
    stock = scheduler(timestep_spacing='trailing')
    stock.set_timesteps(61)
    assert stock.timesteps.tolist()[-1] == -1
    assert schedule.timesteps(61) == stock.timesteps.tolist()[:61]
    assert schedule.timesteps(1000) == list(range(999, -1, -1))


def test_where_the_last_step_ends():
    kept = NoiseSchedule()
    assert kept.previous_alpha(1, 10) == kept.alphas_cumprod[0]
    one = NoiseSchedule(set_alpha_to_one=True)
    assert one.previous_alpha(1, 10) == 1
    assert one.previous_alpha(101, 10) == one.alphas_cumprod[1]


def test_zero_terminal_snr():
    schedule = NoiseSchedule(rescale_betas_zero_snr=True)
    stock = scheduler(rescale_betas_zero_snr=True)
    assert torch.equal(schedule.alphas_cumprod, stock.alphas_cumprod)
    assert schedule.alphas_cumprod[-1] == 0
    # algorithm 1 of arXiv:2305.08891 in double precision
    roots = np.cumprod(
        1 - np.linspace(.00085**.5, .012**.5, 1000)**2)**.5
    roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    np.testing.assert_allclose(
        schedule.alphas_cumprod, roots**2, atol=1e-5)


@pytest.mark.parametrize('betas', [(1., 1.), (.136, .192)])
def test_a_schedule_without_signal_cannot_be_stretched(betas):
    assert scheduler(
        beta_start=betas[0], beta_end=betas[1], rescale_betas_zero_snr=True
    ).alphas_cumprod.isnan().any()
    with pytest.raises(ValueError, match='rescale_betas_zero_snr'):
        NoiseSchedule(*betas, rescale_betas_zero_snr=True)


def test_alphas_of_a_batch_broadcast_to_latents():
    schedule = NoiseSchedule()
    alphas = schedule.alpha(torch.tensor([3, 999, 0]))
    assert alphas.shape == (3, 1, 1, 1)
    assert alphas.flatten().tolist() == [
        schedule.alpha(t).item() for t in (3, 999, 0)]


def test_settings_of_a_weights_folder(tmp_path):
    """These are the fields of Marigold's second version."""
    fields = dict(beta_start=.00085, beta_end=.012, num_train_timesteps=1000,
                  timestep_spacing='trailing', steps_offset=1,
                  set_alpha_to_one=False, rescale_betas_zero_snr=True)
    scheduler(**fields).save_pretrained(str(tmp_path))
    schedule = NoiseSchedule.from_diffusers(
        DDIMScheduler.load_config(str(tmp_path)))
    assert schedule.fields == fields
    assert schedule.alphas_cumprod[-1] == 0
    # what a file lacks is as in diffusers, not as here
    config = dict(scheduler().config)
    for field in ('set_alpha_to_one', 'steps_offset'):
        del config[field]
    assert NoiseSchedule.from_diffusers(config).fields == dict(
        NoiseSchedule().fields, set_alpha_to_one=True, steps_offset=0)


@pytest.mark.parametrize('field,value', [
    ('prediction_type', 'epsilon'), ('beta_schedule', 'linear'),
    ('clip_sample', True), ('thresholding', True),
    ('trained_betas', [.1] * 1000)])
def test_other_schedulers_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        NoiseSchedule.from_diffusers(dict(scheduler().config, **{
            field: value}))
    with pytest.raises(ValueError, match='LCMScheduler'):
        NoiseSchedule.from_diffusers(dict(
            scheduler().config, _class_name='LCMScheduler'))


def test_bad_arguments():
    with pytest.raises(ValueError, match='beta_start'):
        NoiseSchedule(beta_start=0)
    with pytest.raises(ValueError, match='beta_end'):
        NoiseSchedule(beta_end=1.2)
    with pytest.raises(ValueError, match='timestep_spacing.*trailing'):
        NoiseSchedule(timestep_spacing='linspace')
    for steps in (0, -1, 1001, 2.5, None):
        with pytest.raises(ValueError, match='num_steps'):
            NoiseSchedule().timesteps(steps)
    with pytest.raises(ValueError, match='visit timestep 1000'):
        NoiseSchedule().timesteps(1000)
