import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import MarigoldDepthPipeline

from genpercept_mm.diffusion.ensembling import (
    ENSEMBLES,
    ensemble_affine,
    ensemble_directions,
    ensemble_mean,
)


def noisy_copies(number, size, noise):
    """One map under affine transformations, with noise, in [-1, 1]."""
    generator = torch.Generator().manual_seed(number)
    base = F.interpolate(
        torch.rand(1, 1, 4, 5, generator=generator), size, mode='bicubic')
    scales, shifts = torch.rand(2, number, 1, 1, 1, generator=generator)
    maps = base * (0.3 + 0.6 * scales) + 0.1 * shifts
    maps = maps + noise * torch.randn(number, 1, *size, generator=generator)
    return maps.clamp(0, 1) * 2 - 1


def vectors(number, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(number, 3, *size, generator=generator) * 2 - 1


@pytest.mark.parametrize('options', [
    dict(), dict(reduction='mean'), dict(regularizer_strength=0.5),
    pytest.param(dict(max_iter=20, tol=1e-6), marks=pytest.mark.nightly),
    dict(max_res=16)])
def test_affine_is_diffusers_in_another_range(options):
    members = noisy_copies(5, (19, 37), 0.05)
    theirs, spread = MarigoldDepthPipeline.ensemble_depth(
        (members + 1) / 2, output_uncertainty=True, **options)
    ours, own_spread = ensemble_affine(members, True, **options)
    assert ours.shape == own_spread.shape == (1, 19, 37)
    torch.testing.assert_close((ours + 1) / 2, theirs[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(own_spread, spread[0], atol=1e-6, rtol=0)
    assert own_spread.max() > .05
    assert ensemble_affine(members, **options)[1] is None


def test_exact_affine_copies_give_the_map_back():
    base = torch.linspace(0, 1, 7 * 9).view(1, 1, 7, 9)
    copies = [base * scale + shift for scale, shift in (
        (1., 0.), (0.5, 0.25), (0.2, 0.8), (0.7, 0.1), (0.3, 0.))]
    for number in (2, 3, 5):
        merged, spread = ensemble_affine(
            torch.cat(copies[:number]) * 2 - 1, True)
        torch.testing.assert_close(
            merged, base[0] * 2 - 1, atol=1e-5, rtol=0)
        assert spread.max() < 1e-5


def test_the_median_of_even_counts_is_the_lower_middle():
    """All members have the range 0..1 already; the middle pixel differs."""
    middles = torch.tensor([0.2, 0.4, 0.5, 0.9])
    maps = torch.stack([torch.tensor([0., float(middle), 1.])
                        for middle in middles]).view(4, 1, 1, 3)
    merged, spread = ensemble_affine(maps * 2 - 1, True, max_iter=0)
    # away from 0.4: 0.2, 0, 0.1, 0.5; the lower middle of these is 0.1
    torch.testing.assert_close(
        merged, torch.tensor([[[-1., -0.2, 1.]]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        spread, torch.tensor([[[0., 0.1, 0.]]]), atol=1e-6, rtol=0)


def test_constant_members_stay_finite():
    members = noisy_copies(3, (8, 8), 0.)
    members[1] = 0.3
    merged, spread = ensemble_affine(members, True)
    assert merged.isfinite().all() and spread.isfinite().all()
    assert (merged.min(), merged.max()) == (-1, 1)
    merged, spread = ensemble_affine(members * 0 + 0.3, True)
    assert (merged == -1).all() and (spread == 0).all()


def test_directions_of_any_length_are_averaged():
    members = vectors(5, (17, 33))
    unit = members / members.norm(dim=1, keepdim=True)
    mean, spread = ensemble_directions(members, True, 'mean')
    expected = unit.mean(0) / unit.mean(0).norm(dim=0)
    torch.testing.assert_close(mean, expected, atol=1e-5, rtol=0)
    angles = (unit * expected).sum(1).clamp(-1, 1).arccos()
    torch.testing.assert_close(
        spread[0], angles.mean(0) / np.pi, atol=1e-4, rtol=0)
    closest, _ = ensemble_directions(members)
    torch.testing.assert_close(
        (closest * expected).sum(0), (unit * expected).sum(1).amax(0),
        atol=1e-5, rtol=0)
    # the caller's members are not changed
    assert torch.equal(members, vectors(5, (17, 33)))


def test_two_directions_in_closed_form():
    """The mean of two unit vectors halves the angle between them."""
    angles = torch.tensor([0.2, 1., 2.5, 3.])
    still = torch.stack([torch.ones(4), torch.zeros(4), torch.zeros(4)])
    turned = torch.stack([angles.cos(), angles.sin(), torch.zeros(4)])
    # lengths do not matter
    members = torch.stack([still * 3, turned * 0.5])[:, :, None]
    mean, spread = ensemble_directions(members, True, 'mean')
    halves = torch.stack([
        (angles / 2).cos(), (angles / 2).sin(), torch.zeros(4)])[:, None]
    torch.testing.assert_close(mean, halves)
    torch.testing.assert_close(spread, (angles / 2 / np.pi).view(1, 1, 4))


def test_the_closest_direction_is_a_member():
    angles = torch.tensor([0., 0.2, 1.]).view(3, 1, 1)
    members = torch.stack(
        [angles.cos(), angles.sin(), angles * 0], dim=1) * 2
    closest, spread = ensemble_directions(members)
    assert spread is None
    torch.testing.assert_close(closest, members[1] / 2)
    zeros, spread = ensemble_directions(members * 0, True)
    assert (zeros == 0).all() and spread.isfinite().all()


def test_the_mean_has_a_standard_deviation():
    alpha = np.random.default_rng(0).random((4, 1, 6, 5), np.float32)
    mean, spread = ensemble_mean(torch.from_numpy(alpha) * 2 - 1, True)
    np.testing.assert_allclose(
        (mean + 1) / 2, alpha.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(spread, alpha.std(axis=0, ddof=1), atol=1e-6)
    colors = torch.stack([torch.zeros(3, 1, 1), torch.ones(3, 1, 1)])
    colors[1, 2] = 0
    mean, spread = ensemble_mean(colors, True)
    torch.testing.assert_close(mean.flatten(), torch.tensor([.5, .5, 0]))
    # variances 1/2, 1/2, 0 of a range of two
    torch.testing.assert_close(spread.item(), (1 / 3)**.5 / 2)


@pytest.mark.parametrize('name, channels', [
    ('affine', 1), ('direction', 3), ('mean', 1), ('mean', 3)])
def test_one_member_is_left_alone(name, channels):
    members = vectors(1, (4, 6))[:, :channels]
    merged, spread = ENSEMBLES[name](members)
    assert torch.equal(merged, members[0]) and spread is None
    with pytest.raises(ValueError, match='at least two'):
        ENSEMBLES[name](members, uncertainty=True)


def test_what_does_not_fit_is_refused():
    members = torch.zeros(2, 3, 4, 4)
    for call, match in (
            (lambda: ensemble_affine(members), r'must be \(E, 1, H, W\)'),
            (lambda: ensemble_directions(members[:, :1]), r'\(E, 3, H, W\)'),
            (lambda: ensemble_mean(members[0]), r'\(E, C, H, W\)'),
            (lambda: ensemble_affine(members[:, :1], reduction='closest'),
             'reduction'),
            (lambda: ensemble_directions(members, reduction='median'),
             'reduction')):
        with pytest.raises(ValueError, match=match):
            call()
