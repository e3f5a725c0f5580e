"""Micro batches of a sequence of steps, whoever runs them."""
import itertools

import numpy as np
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import Sampler

from .mixture_sampler import MixtureSampler
from ..seeded_dataset import Draw

# First word of the seed of permutations, see `MixtureSampler`
PERMUTATIONS = 3


class StepBatchSampler(Sampler):
    """Cut a global sequence of images into steps, ranks and micro batches.

    Step s holds the images s * batch_size and following; its micro batch k
    of rank r those from ``(k * world_size + r) * micro_batch`` on. So neither
    the number of ranks nor the size of micro batches changes what is in a
    step. Endless.

    Args:
        sampler (Sampler): An ``InfiniteSampler`` or ``DefaultSampler`` of
            mmengine, or a `MixtureSampler`, whose groups, of its
            ``batch_size``, are kept together; says the order, and is not
            iterated.
        batch_size (int): Images in a step, on all ranks together.
        micro_batch (int): Images in a micro batch.
        rank (int): Defaults to 0.
        world_size (int): Defaults to 1.

    Attributes:
        start (int): Step at which iteration starts.
        seed (int): Determines the order and all random draws.

    Raises:
        TypeError: If the order of the sampler cannot be told.
        ValueError: If a step, or a group of a `MixtureSampler`, cannot be
            divided like this.
    """

    def __init__(self, sampler, batch_size, micro_batch, rank=0,
                 world_size=1):
        self.order = _order_of(sampler)
        self.sampler = sampler
        self.batch_size, self.micro_batch = batch_size, micro_batch
        self.rank, self.world_size = rank, world_size
        if batch_size % (micro_batch * world_size):
            raise ValueError(
                f'StepBatchSampler: {batch_size} images cannot be divided '
                f'into micro batches of {micro_batch} on {world_size} ranks.')
        group = getattr(self.order, 'group', micro_batch)
        if group % micro_batch:
            raise ValueError(
                f'StepBatchSampler: groups of {group} images, which have one '
                'size, cannot be divided into micro batches of '
                f'{micro_batch}.')
        self.accumulation = batch_size // (micro_batch * world_size)
        self.start = 0

    @property
    def seed(self):
        """int: Determines the order and all random draws."""
        return int(self.sampler.seed or 0)

    @seed.setter
    def seed(self, seed):
        self.sampler.seed = seed

    def places(self, turn):
        """Return the places within the step of a micro batch of this rank."""
        first = (turn * self.world_size + self.rank) * self.micro_batch
        return range(first, first + self.micro_batch)

    def __len__(self):
        """Number of steps in which about all images occur once."""
        return max(self.order.size // self.batch_size, 1)

    def __iter__(self):
        images = self.order.iterate(self.start * self.batch_size)
        for step in itertools.count(self.start):
            whole = list(itertools.islice(images, self.batch_size))
            for turn in range(self.accumulation):
                yield [Draw(int(whole[place]), (self.seed, step, place))
                       for place in self.places(turn)]


class _Order:
    """All images again and again, shuffled each time or not."""

    def __init__(self, sampler):
        self.sampler, self.size = sampler, len(sampler.dataset)
        if not self.size:
            raise ValueError('StepBatchSampler: the data set is empty.')

    def iterate(self, start):
        """Yield indices from a position on."""
        cycle, place = divmod(start, self.size)
        while True:
            order = range(self.size)
            if self.sampler.shuffle:
                order = np.random.default_rng([
                    PERMUTATIONS, int(self.sampler.seed or 0), cycle
                ]).permutation(self.size)
            yield from order[place:]
            cycle, place = cycle + 1, 0


class _Mixture:
    """The groups of a `MixtureSampler`, one after another."""

    def __init__(self, sampler):
        self.sampler, self.group = sampler, sampler.batch_size
        self.size = sum(sampler.sizes)

    def iterate(self, start):
        """Yield indices from a position on."""
        group, place = divmod(start, self.group)
        images = itertools.chain.from_iterable(self.sampler.groups(group))
        return itertools.islice(images, place, None)


def _order_of(sampler):
    if isinstance(sampler, MixtureSampler):
        return _Mixture(sampler)
    # others may have an order of their own
    if type(sampler) not in (InfiniteSampler, DefaultSampler):
        raise TypeError(
            f'StepBatchSampler: the order of {type(sampler).__name__} cannot '
            'be cut into steps; use InfiniteSampler, DefaultSampler or '
            'genpercept_mm.MixtureSampler, without another batch sampler, or '
            'IterBasedTrainLoop.')
    return _Order(sampler)
