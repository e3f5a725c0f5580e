import numpy as np
import pytest
import torch

from genpercept_mm.diffusion import (
    annealed_strength,
    gaussian_noise,
    image_generator,
    multi_resolution_noise,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def stretch(values, height, width):
    """Bilinear, pixel by pixel, centres at halves, edges repeated."""
    h, w = values.shape
    out = np.zeros((height, width))
    for row in range(height):
        y = min(max((row + .5) * h / height - .5, 0), h - 1)
        top = int(y)
        for column in range(width):
            x = min(max((column + .5) * w / width - .5, 0), w - 1)
            left = int(x)
            for r, weight_r in ((top, 1 - y + top), (top + 1, y - top)):
                for c, weight_c in ((left, 1 - x + left),
                                    (left + 1, x - left)):
                    if weight_r > 0 and weight_c > 0:
                        out[row, column] += weight_r * weight_c * values[r, c]
    return out


@pytest.mark.parametrize('shape,seed', [
    ((2, 1, 12, 16), 0), ((1, 2, 9, 30), 1), ((2, 1, 2, 40), 2)])
def test_multi_resolution_noise_by_a_plain_loop(shape, seed):
    strengths = [.9, .35][:shape[0]]
    ours, theirs = seeded(seed), seeded(seed)
    found = multi_resolution_noise(shape, torch.tensor(strengths), ours)

    total = torch.randn(shape, generator=theirs).double().numpy()
    h, w = shape[2:]
    levels = 0
    while levels < 10:
        r = 2 * (1 + torch.rand(1, generator=theirs).item())
        for _ in range(levels):
            h, w = h / r, w / r
        h, w = max(1, int(np.floor(h))), max(1, int(np.floor(w)))
        coarse = torch.randn(
            shape[0], shape[1], h, w, generator=theirs).numpy()
        for n in range(shape[0]):
            for c in range(shape[1]):
                total[n, c] += strengths[n]**levels * stretch(
                    coarse[n, c], *shape[2:])
        levels += 1
        if min(h, w) == 1:
            break
    assert levels >= 2
    np.testing.assert_allclose(
        found, total / np.std(total, ddof=1), atol=1e-5)
    # and nothing else was drawn
    assert torch.equal(torch.randn(20, generator=ours),
                       torch.randn(20, generator=theirs))


def test_strength_zero_is_the_sum_of_two_gaussians():
    shape = (3, 4, 8, 8)
    generator = seeded()
    first = torch.randn(shape, generator=generator)
    torch.rand((), generator=generator)
    second = torch.randn(shape, generator=generator)
    total = first + second
    torch.testing.assert_close(
        multi_resolution_noise(shape, 0., seeded()), total / total.std())
    # each sample has its own strength, the divisor is shared
    mixed = multi_resolution_noise(shape, torch.tensor([0., .9, 0.]),
                                   seeded())
    ratio = mixed[0] / total[0]
    torch.testing.assert_close(
        mixed[2], total[2] * ratio.mean(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('strength', [0., .3, .9, 1.])
def test_unit_deviation_over_the_batch(strength):
    noise = multi_resolution_noise((4, 4, 24, 32), strength, seeded())
    assert noise.std().item() == pytest.approx(1, abs=1e-5)


def test_strength_brings_low_frequencies():
    """Mean power of 8 x 8 cells, which is 1 / 64 for white noise."""

    def power(strength):
        noise = multi_resolution_noise((64, 4, 32, 32), strength, seeded())
        cells = torch.nn.functional.avg_pool2d(noise, 8)
        return cells.square().mean().item()

    assert power(0.) == pytest.approx(1 / 64, rel=.1)
    assert power(.9) > 5 / 64


def test_annealing():
    t = torch.tensor([0, 500, 999])
    torch.testing.assert_close(
        annealed_strength(t, .9), torch.tensor([0., .45, .8991]))
    assert annealed_strength(250, .8) == pytest.approx(.2)
    assert annealed_strength(5, 1., num_train_timesteps=10) == .5


def test_generators_of_images():
    draws = {float(torch.rand((), generator=image_generator(seed, name)))
             for seed in range(3) for name in (None, 'a', 'b')}
    assert len(draws) == 9
    assert torch.equal(
        torch.rand(3, generator=image_generator(5, 'a')),
        torch.rand(3, generator=image_generator(5, 'a')))
    # without a name, what a user of torch or diffusers would draw
    assert torch.equal(
        torch.rand(3, generator=image_generator(5)),
        torch.rand(3, generator=seeded(5)))


def test_a_seed_says_it_all():
    expected = torch.randn(2, 3, generator=seeded(5))
    torch.manual_seed(1)
    assert torch.equal(gaussian_noise((2, 3), seeded(5)), expected)
    half = gaussian_noise((2, 3), seeded(5), dtype=torch.float16)
    assert torch.equal(half, expected.half())
    assert gaussian_noise((2, 3), device='meta').device.type == 'meta'
    shape = (1, 4, 8, 8)
    assert torch.equal(multi_resolution_noise(shape, .9, seeded(5)),
                       multi_resolution_noise(shape, .9, seeded(5)))
    assert not torch.equal(multi_resolution_noise(shape, .9, seeded(5)),
                           multi_resolution_noise(shape, .9, seeded(6)))
    # without a generator the global seed counts
    torch.manual_seed(5)
    assert torch.equal(gaussian_noise((2, 3)), expected)


@pytest.mark.parametrize('strength', [0., .9, [.1, .5, .9]])
def test_a_list_of_generators_draws_each_image_alone(strength):
    shape, each = (3, 4, 12, 16), torch.as_tensor(strength).expand(3)
    together = multi_resolution_noise(
        shape, torch.as_tensor(strength), [seeded(n) for n in range(3)])
    alone = [multi_resolution_noise((1, *shape[1:]), each[n], seeded(n))
             for n in range(3)]
    assert torch.equal(together, torch.cat(alone))
    torch.testing.assert_close(together.flatten(1).std(1), torch.ones(3))
    assert torch.equal(
        gaussian_noise(shape, [seeded(n) for n in range(3)]),
        torch.cat([gaussian_noise((1, *shape[1:]), seeded(n))
                   for n in range(3)]))
