"""Micro batches of one data set each, drawn with given probabilities."""
import itertools

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import ConcatDataset, Sampler

from genpercept_mm.registry import DATA_SAMPLERS

# number of draws taken from the generator at once
DRAWS = 4096
# first word of a seed, which makes the three kinds of draws independent
CHOICES, PERMUTATIONS, SUBSETS = 0, 1, 2


@DATA_SAMPLERS.register_module()
class MixtureSampler(Sampler):
    """Batch sampler for a mixture of data sets.

    The data set of every micro batch is drawn independently, as in the
    official training (Hypersim 0.9, Virtual KITTI 0.1). A batch thus never
    mixes image sizes; an effective batch mixes data sets only across
    accumulated micro batches. Within a data set, samples are drawn without
    replacement, in a new order each time it is exhausted, and those that do
    not fill a batch at its end are left out. The sequence is infinite, as
    ``IterBasedTrainLoop`` expects.

    Rank r of w takes the micro batches r, r + w, r + 2w and so on of one
    global sequence. An order depends only on the seed, the data set and how
    often it was exhausted, so `skip` need not draw the samples that it passes.

    With a ``fraction``, only that share of each data set is used. The subset
    depends on ``fraction_seed`` and the position of the data set alone, so a
    resumed training keeps it, and it contains those of smaller fractions.

    ``sampler`` only provides the data set and the seed. mmengine requires one,
    and passes it and the loader's ``batch_size`` to a ``batch_sampler``::

        train_dataloader = dict(
            batch_size=4,
            sampler=dict(type='InfiniteSampler'),
            batch_sampler=dict(
                type='genpercept_mm.MixtureSampler',
                batch_size=4,  # else that above, and the order with it
                probabilities=[0.9, 0.1]),
            dataset=dict(type='ConcatDataset', datasets=[hypersim, vkitti]))

    Args:
        sampler (Sampler): Has ``dataset``, and ``seed`` if none is given here;
            it is never iterated.
        batch_size (int): Samples in a micro batch.
        probabilities (Sequence[float], optional): One weight for each data set
            of the ``ConcatDataset``; they are divided by their sum. None takes
            the number of whole batches in each; only then it may be a single
            data set.
        seed (int, optional): The same on all ranks. None takes that of
            ``sampler``, or a random one that all ranks share.
        fraction (float): Share of each data set that is used, in (0, 1]; the
            number of samples is rounded. Defaults to 1.0.
        fraction_seed (int): Selects the samples; not negative. Defaults to 0.

    Attributes:
        seed (int): Determines the sequence; read when iteration starts.
        sizes (list[int]): Number of samples used from each data set.
        subsets (list[np.ndarray]): Their indices in the data set, ascending.

    Raises:
        ValueError: If ``sampler`` has no data set, a data set or its subset is
            smaller than a batch, or an argument is not as described above.
    """

    def __init__(self, sampler, batch_size, probabilities=None, seed=None,
                 fraction=1.0, fraction_seed=0):
        dataset = getattr(sampler, 'dataset', None)
        if dataset is None:
            raise ValueError(
                f'MixtureSampler: {type(sampler).__name__} has no dataset; '
                "set sampler=dict(type='InfiniteSampler') beside "
                'batch_sampler.')
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError('MixtureSampler: batch_size must be a positive '
                             f'integer, got {batch_size!r}.')
        mixed = isinstance(dataset, ConcatDataset)
        if probabilities is not None and not mixed:
            raise ValueError(
                'MixtureSampler: probabilities need a ConcatDataset, got '
                f'{type(dataset).__name__}; leave them out, or wrap the data '
                'sets in ConcatDataset.')
        if not 0 < fraction <= 1:
            raise ValueError('MixtureSampler: fraction must be above 0 and '
                             f'at most 1, got {fraction}.')
        if not isinstance(fraction_seed, int) or fraction_seed < 0:
            raise ValueError('MixtureSampler: fraction_seed must be an '
                             f'integer from 0 on, got {fraction_seed!r}.')
        whole = [len(part) for part in
                 (dataset.datasets if mixed else [dataset])]
        self.offsets = np.cumsum([0, *whole])
        self.subsets = [
            draw_subset(size, fraction, [SUBSETS, fraction_seed, part])
            for part, size in enumerate(whole)]
        self.sizes = [len(subset) for subset in self.subsets]
        small = [size for size in self.sizes if size < batch_size]
        if small:
            raise ValueError(
                f'MixtureSampler: data sets have {self.sizes} samples (the '
                f'fraction {fraction} of {whole}), so {len(small)} of them '
                f'cannot fill a batch of {batch_size}; lower batch_size, '
                'raise fraction, or leave them out.')
        self.batches = [size // batch_size for size in self.sizes]
        self.probabilities = self._normalized(
            self.batches if probabilities is None else probabilities)
        self.rank, self.world_size = get_dist_info()
        if seed is None:
            seed = getattr(sampler, 'seed', None)
        self.seed = sync_random_seed() if seed is None else seed
        # mmengine's DistSamplerSeedHook reads it
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = True
        self.skipped = 0

    def _normalized(self, weights):
        weights = np.array(weights, float)
        if weights.shape != (len(self.sizes), ):
            raise ValueError(
                f'MixtureSampler: probabilities must have one entry for each '
                f'of {len(self.sizes)} data sets, got {weights.tolist()}.')
        if not np.isfinite(weights).all() or (
                weights < 0).any() or weights.sum() == 0:
            raise ValueError(
                'MixtureSampler: probabilities must be finite, not negative '
                f'and not all zero, got {weights.tolist()}.')
        return weights / weights.sum()

    def __len__(self):
        """Number of whole batches that all data sets provide for a rank."""
        return max(sum(self.batches) // self.world_size, 1)

    def skip(self, num_batches):
        """Let iteration start after this many micro batches of this rank.

        ``num_batches`` is not negative and counts from the beginning of the
        sequence. Only choices of data sets are drawn, which takes
        milliseconds.
        """
        if num_batches < 0:
            raise ValueError('MixtureSampler: num_batches to skip must not '
                             f'be negative, got {num_batches}.')
        self.skipped = num_batches

    def __iter__(self):
        """Yield micro batches, lists of indices into the data set."""
        return itertools.islice(
            self.groups(self.skipped * self.world_size), self.rank, None,
            self.world_size)

    def groups(self, start=0):
        """Yield the micro batches of all ranks, from a position on; those
        before are not drawn."""
        parts = len(self.sizes)
        bounds = np.cumsum(self.probabilities)
        # rounding must not leave a gap below 1 or select a probability of 0
        bounds[np.flatnonzero(self.probabilities)[-1]:] = 1
        generator = np.random.default_rng([CHOICES, self.seed])

        def draw(count):
            return np.searchsorted(
                bounds, generator.random(count), side='right')

        used = np.zeros(parts, int)
        for done in range(0, start, DRAWS):
            used += np.bincount(
                draw(min(DRAWS, start - done)), minlength=parts)

        orders = [(None, None)] * parts
        while True:
            for part in draw(DRAWS):
                cycle, place = divmod(int(used[part]), self.batches[part])
                if orders[part][0] != cycle:
                    orders[part] = cycle, np.random.default_rng(
                        [PERMUTATIONS, self.seed, int(part), cycle]
                    ).permutation(self.sizes[part])
                first = place * self.batch_size
                places = orders[part][1][first:first + self.batch_size]
                yield (self.subsets[part][places] +
                       self.offsets[part]).tolist()
                used[part] += 1


def draw_subset(size, fraction, seed):
    """Draw round(size * fraction) different indices below ``size``, ascending;
    they are part of those of any larger fraction with the same seed."""
    order = np.random.default_rng(seed).permutation(size)
    return np.sort(order[:round(size * fraction)])
