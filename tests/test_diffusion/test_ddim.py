import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from genpercept_mm.diffusion import (
    add_noise,
    ddim_step,
    split_velocity,
    velocity_target,
)

STOCK = dict(beta_schedule='scaled_linear', prediction_type='v_prediction',
             clip_sample=False)
PAIRS = [(.0002125, .003), (.000425, .006), (.00085, .012), (.0034, .048)]


def latents(count, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(
        count, 3, 4, 5, 6, generator=generator, dtype=dtype).unbind()


@pytest.mark.parametrize('betas', [*PAIRS, (.136, .192), (1., 1.)])
def test_noising_and_targets_as_diffusers(betas):
    stock = DDPMScheduler(beta_start=betas[0], beta_end=betas[1], **STOCK)
    clean, noise = latents(2)
    t = torch.tensor([0, 400, 999])
    alpha = stock.alphas_cumprod[t].view(3, 1, 1, 1)
    torch.testing.assert_close(
        add_noise(clean, noise, alpha), stock.add_noise(clean, noise, t))
    torch.testing.assert_close(
        velocity_target(clean, noise, alpha),
        stock.get_velocity(clean, noise, t))


@pytest.mark.parametrize('alpha', [0., 1e-30, .004, .5, .9991, 1.])
def test_a_velocity_gives_back_what_it_was_made_of(alpha):
    """It holds at the ends too, where others divide by zero."""
    clean, noise = latents(2, torch.float64)
    alpha = torch.tensor(alpha, dtype=torch.float64)
    sample = add_noise(clean, noise, alpha)
    velocity = velocity_target(clean, noise, alpha)
    found = split_velocity(sample, velocity, alpha)
    torch.testing.assert_close(found, (clean, noise), atol=1e-12, rtol=0)


@pytest.mark.parametrize('betas', PAIRS)
@pytest.mark.parametrize('to_one', [True, False])
def test_step_as_diffusers(betas, to_one):
    stock = DDIMScheduler(
        beta_start=betas[0], beta_end=betas[1], steps_offset=1,
        set_alpha_to_one=to_one, **STOCK)
    stock.set_timesteps(4)
    sample, velocity = latents(2)
    alphas = stock.alphas_cumprod
    for t, previous in ((751, alphas[501]), (251, alphas[1]),
                        (1, torch.tensor(1.) if to_one else alphas[0])):
        expected = stock.step(velocity, t, sample, return_dict=False)
        torch.testing.assert_close(
            ddim_step(sample, velocity, alphas[t], previous), expected)


@pytest.mark.parametrize('betas', [(1., 1.), (.544, .768)])
def test_step_where_diffusers_divides_zero_by_zero(betas):
    """Alpha-bar is 0 before and after: the noise stays, minus the velocity
    is the clean sample."""
    stock = DDIMScheduler(
        beta_start=betas[0], beta_end=betas[1], steps_offset=1,
        set_alpha_to_one=False, **STOCK)
    stock.set_timesteps(4)
    sample, velocity = latents(2)
    theirs = stock.step(velocity, 751, sample)
    assert theirs.prev_sample.isnan().all()
    previous, clean = ddim_step(
        sample, velocity, stock.alphas_cumprod[751],
        stock.alphas_cumprod[501])
    assert torch.equal(previous, sample)
    assert torch.equal(clean, -velocity)
