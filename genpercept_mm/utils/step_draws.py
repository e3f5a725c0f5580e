"""Random numbers that belong to an image of a step.

A loop that opens `step_draws` around each micro batch makes draws depend on
the seed, the step and the place of the image in the step alone: not on the
number of ranks, the size of micro batches, or what was drawn before.
"""
import contextlib
import random

import numpy as np
import torch

# Ends the words of the generator that all images of a step share
_SHARED = 2**32 - 1
_STACK = []


def seed_of(*words):
    """Mix non-negative integers into a seed of 32 bits, which is all that
    torch's generator on the CPU uses."""
    return int(np.random.SeedSequence(words).generate_state(1)[0])


class _Draws:
    """The generators of a micro batch.

    ``words`` are seed and step, and ``calls`` numbers the calls of
    `repeatable_generators` by what each drew from torch's generator.
    """

    def __init__(self, generators, shared, places, words, calls):
        self.generators, self.shared, self.places = generators, shared, places
        self.words, self.calls = words, calls


@contextlib.contextmanager
def step_draws(seed, step, places):
    """Give the images of a micro batch their generators.

    The global generators are seeded with the step and the first place, and
    restored afterwards: what draws from them is the same in every run of the
    step that divides it equally.

    Args:
        seed (int): Seed of the training.
        step (int): Number of the optimizer step.
        places (Sequence[int]): Place of each image within the step.
    """
    _STACK.append(_Draws(
        [_generator(seed, step, place) for place in places],
        _generator(seed, step, _SHARED), list(places), (seed, step), {}))
    try:
        # from 1 on: NumPy takes a zero at the end for nothing
        with seeded(seed, step, _SHARED, 1 + min(places, default=0)):
            yield
    finally:
        _STACK.pop()


def image_generators(count):
    """Return the generators, on the CPU, of the images of this micro batch.

    Args:
        count (int): Number of images.

    Returns:
        list[torch.Generator], optional: None outside of `step_draws`.

    Raises:
        ValueError: If the micro batch has another number of images.
    """
    return _STACK[-1].generators if _checked(count) else None


def repeatable_generators(count):
    """Return other generators of the images, as `image_generators`, that are
    the same where gradient checkpointing computes a layer again.

    They follow the number of the call. One number is drawn from torch's global
    generator, which checkpointing restores, so that a call is recognized when
    it comes again.
    """
    if not _checked(count):
        return None
    draws = _STACK[-1]
    call = draws.calls.setdefault(
        int(torch.randint(2**31, ())), len(draws.calls) + 1)
    return [_generator(*draws.words, place, call) for place in draws.places]


def _checked(count):
    if not _STACK:
        return False
    size = len(_STACK[-1].generators)
    if size != count:
        raise ValueError(f'step_draws: the micro batch has {size} images, '
                         f'and {count} are asked for.')
    return True


@contextlib.contextmanager
def draws_of(images):
    """Let only some images of the micro batch draw; nothing outside of
    `step_draws`.

    Args:
        images (slice): Their places in the micro batch.
    """
    if not _STACK:
        yield
        return
    draws = _STACK[-1]
    # each image begins where all begin
    again = torch.Generator()
    again.set_state(draws.shared.get_state())
    _STACK.append(_Draws(
        draws.generators[images], again, draws.places[images], draws.words,
        draws.calls))
    try:
        yield
    finally:
        _STACK.pop()


def shared_generator():
    """Return a generator that draws the same in all micro batches of a step,
    on the CPU; None, torch's own, outside of `step_draws`."""
    return _STACK[-1].shared if _STACK else None


@contextlib.contextmanager
def seeded(*words):
    """Seed the global generators of random, NumPy and torch, on a GPU too if
    one is in use, and restore those on the CPU at the end."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seed = seed_of(*words)
    random.seed(seed)
    np.random.seed(seed)
    torch.random.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


def _generator(*words):
    return torch.Generator().manual_seed(seed_of(*words))
