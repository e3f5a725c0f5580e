import random

import numpy as np
import pytest
import torch

from genpercept_mm.utils.step_draws import (
    draws_of,
    image_generators,
    repeatable_generators,
    seed_of,
    seeded,
    shared_generator,
    step_draws,
)


def numbers(seed, step, places):
    with step_draws(seed, step, places):
        return torch.stack([
            torch.rand(3, generator=generator)
            for generator in image_generators(len(places))])


def test_the_split_does_not_change_the_draws():
    whole = numbers(5, 7, range(8))
    parts = [numbers(5, 7, range(first, first + 2))
             for first in (0, 2, 4, 6)]
    assert torch.equal(torch.cat(parts), whole)
    assert len(whole.unique()) == 24
    for other in (numbers(6, 7, range(8)), numbers(5, 8, range(8))):
        assert not torch.isin(other, whole).any()


def test_all_micro_batches_share_a_generator():
    drawn = []
    for places in ([0, 1], [2, 3]):
        with step_draws(1, 2, places):
            drawn.append(torch.rand(2, generator=shared_generator()))
    assert torch.equal(*drawn)


def test_outside_nothing_changes():
    assert image_generators(3) is None and shared_generator() is None
    with step_draws(0, 0, [0, 1]):
        with pytest.raises(ValueError, match='has 2 images, and 3 are asked'):
            image_generators(3)
    assert image_generators(3) is None


def test_global_generators_are_seeded_and_restored():
    def draw():
        return random.random(), np.random.rand(), torch.rand(()).item()

    for set_seed in (random.seed, np.random.seed, torch.manual_seed):
        set_seed(3)
    expected = draw()
    for set_seed in (random.seed, np.random.seed, torch.manual_seed):
        set_seed(3)
    with seeded(1, 2, 3):
        inside = draw()
    assert draw() == expected
    with seeded(1, 2, 3):
        assert draw() == inside
    with seeded(1, 2, 4):
        assert not set(draw()) & set(inside)


def test_seeds_are_those_of_numpy():
    assert seed_of(4, 2) == int(
        np.random.SeedSequence([4, 2]).generate_state(1)[0])


def test_some_images_draw_as_they_do_among_all():
    with step_draws(0, 1, range(4)):
        whole = [torch.rand(2, generator=one) for one in image_generators(4)]
    with step_draws(0, 1, range(4)):
        with draws_of(slice(2, 3)):
            one, = image_generators(1)
            assert torch.equal(torch.rand(2, generator=one), whole[2])
        assert len(image_generators(4)) == 4
    with draws_of(slice(0, 1)):
        assert image_generators(1) is None


def test_no_two_kinds_of_draws_are_the_same():
    """NumPy's SeedSequence takes a zero at the end for nothing."""
    with step_draws(5, 2, [0]):
        seeds = [torch.initial_seed(), shared_generator().initial_seed()] + [
            generator.initial_seed() for generators in (
                image_generators(1), repeatable_generators(1),
                repeatable_generators(1)) for generator in generators]
    assert len(set(seeds)) == 5
