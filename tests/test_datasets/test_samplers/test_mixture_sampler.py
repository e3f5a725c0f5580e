import json
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch.distributed as dist
from mmengine.dataset import BaseDataset, ConcatDataset, InfiniteSampler
from mmengine.runner import Runner
from scipy.stats import binom
from torch.multiprocessing import start_processes
from torch.utils.data import ConcatDataset as TorchConcatDataset

from genpercept_mm.datasets.samplers import MixtureSampler


class Toy(BaseDataset):

    def __init__(self, size):
        self.size = size
        # serializing collects garbage each time
        super().__init__(serialize_data=False)

    def load_data_list(self):
        return [dict(name=f'{self.size}/{i}') for i in range(self.size)]


def sampler(sizes=(10, 7), batch_size=3, probabilities=(.9, .1), seed=0,
            **arguments):
    data = ConcatDataset([Toy(size) for size in sizes])
    return MixtureSampler(
        InfiniteSampler(data), batch_size, probabilities, seed, **arguments)


def take(batches, count, start=0):
    return list(islice(iter(batches), start, start + count))


def test_every_batch_comes_from_one_data_set():
    batches = take(sampler(), 300)
    assert all(len(batch) == 3 for batch in batches)
    owners = [{index >= 10 for index in batch} for batch in batches]
    assert all(len(owner) == 1 for owner in owners)
    assert {True, False} == set.union(*owners)
    assert {index for batch in batches for index in batch} == set(range(17))


@pytest.mark.parametrize('offset, size', [(0, 10), (10, 7)])
def test_no_sample_comes_twice_before_its_data_set_is_exhausted(offset, size):
    batches = [batch for batch in take(sampler(), 400)
               if offset <= batch[0] < offset + size]
    whole = size // 3
    cycles = [sum(batches[i:i + whole], [])
              for i in range(0, len(batches) - whole + 1, whole)]
    assert len(cycles) > 10
    for cycle in cycles:
        assert len(set(cycle)) == whole * 3
        assert set(cycle) <= set(range(offset, offset + size))
    # in a new order each time, and no sample is always the one left out
    assert len({tuple(cycle) for cycle in cycles}) > len(cycles) / 2
    assert set.union(*map(set, cycles)) == set(
        range(offset, offset + size))


@pytest.mark.parametrize('probability', [.9, .5, .01])
def test_data_sets_come_as_often_as_asked_for(probability):
    count = 5000
    drawn = sum(batch[0] < 10 for batch in take(
        sampler(probabilities=[probability * 7, (1 - probability) * 7]),
        count))
    low, high = binom.interval(1 - 1e-6, count, probability)
    assert low <= drawn <= high
    # the bound is tight enough to tell probabilities apart
    assert not low <= count * (probability + .05) <= high


def test_choices_are_independent_of_each_other():
    first = np.array([batch[0] < 10 for batch in take(
        sampler(probabilities=[.7, .3]), 8000)])
    for lag in (1, 2, 5):
        both = int((first[:-lag] & first[lag:]).sum())
        # pairs overlap, so the variance is not that of a binomial: for a lag
        # it is n (p^2 - p^4) + 2 n (p^3 - p^4)
        count, p = len(first) - lag, .7
        spread = np.sqrt(count * (p**2 - p**4 + 2 * (p**3 - p**4)))
        assert abs(both - count * p**2) < 5 * spread


def test_without_probabilities_samples_are_equally_likely():
    uneven = sampler(sizes=(30, 3), probabilities=None)
    np.testing.assert_allclose(uneven.probabilities, [10 / 11, 1 / 11])
    single = MixtureSampler(InfiniteSampler(Toy(7), seed=3), 2)
    batches = take(single, 30)
    assert {index for batch in batches for index in batch} == set(range(7))
    for start in range(0, 30, 3):
        assert len(set(sum(batches[start:start + 3], []))) == 6


def test_probability_zero_never_comes():
    batches = take(sampler(sizes=(5, 5, 5), probabilities=[0, 1, 0]), 200)
    assert {index for batch in batches for index in batch} == {5, 6, 7, 8, 9}


def test_seed_decides():
    one, same, other = (take(sampler(seed=seed), 50) for seed in (1, 1, 2))
    assert one == same != other
    inherited = MixtureSampler(
        InfiniteSampler(sampler().sampler.dataset, seed=1), 3, [.9, .1])
    assert take(inherited, 50) == one


@pytest.mark.parametrize('skipped', [0, 1, 17, 4095, 4096, 4097, 10000])
def test_skip_is_the_tail_of_the_unbroken_sequence(skipped):
    whole = take(sampler(), 50, skipped)
    resumed = sampler()
    resumed.skip(skipped)
    assert take(resumed, 50) == whole


@pytest.mark.parametrize('rank', [0, 2])
def test_skip_counts_the_batches_of_a_rank(monkeypatch, rank):
    monkeypatch.setattr(
        'genpercept_mm.datasets.samplers.mixture_sampler.get_dist_info',
        lambda: (rank, 3))
    whole, resumed = sampler(), sampler()
    resumed.skip(1500)
    assert take(resumed, 40) == take(whole, 40, 1500)
    monkeypatch.undo()
    everything = take(sampler(), 3 * 20)
    assert take(whole, 20) == everything[rank::3]


def test_a_whole_training_is_skipped_without_shuffling_it(monkeypatch):
    long = sampler(sizes=(5000, 3000))
    orders = []

    def order(seed):
        orders.append(seed)
        return generator(seed)

    generator = np.random.default_rng
    monkeypatch.setattr(np.random, 'default_rng', order)
    long.skip(240_000)
    take(long, 1)
    # the choices, and the one order in use
    assert len(orders) == 2


def draw_as_rank(rank, folder):
    dist.init_process_group('gloo', init_method=f'file://{folder}/store',
                            rank=rank, world_size=2)
    data = TorchConcatDataset([list(range(10)), list(range(7))])
    results = []
    for seed in (5, None):
        base = InfiniteSampler(data)
        base.seed = seed
        mixture = MixtureSampler(base, 3, [0.9, 0.1])
        whole = take(mixture, 60)
        mixture.skip(25)
        results.append(dict(
            whole=whole, tail=take(mixture, 35), seed=int(mixture.seed),
            length=len(mixture)))
    with open(f'{folder}/{rank}.json', 'w') as file:
        json.dump(results, file)
    dist.destroy_process_group()


def test_two_ranks_share_one_sequence(tmp_path):
    start_processes(draw_as_rank, (tmp_path, ), nprocs=2,
                    start_method='fork')
    results = [json.loads((tmp_path / f'{rank}.json').read_text())
               for rank in (0, 1)]
    data = TorchConcatDataset([list(range(10)), list(range(7))])
    assert results[0][0]['seed'] == 5
    for first, second in zip(*results):
        assert first['seed'] == second['seed']
        alone = take(MixtureSampler(
            InfiniteSampler(data, seed=first['seed']), 3, [.9, .1]), 120)
        assert first['whole'] == alone[::2]
        assert second['whole'] == alone[1::2]
        assert [first['tail'], second['tail']] == [
            first['whole'][25:], second['whole'][25:]]
        assert first['length'] == (10 // 3 + 7 // 3) // 2


def seen(count=600, **arguments):
    """Indices that come in so many batches, by data set."""
    part = sampler(sizes=(160, 96), probabilities=[.6, .4], **arguments)
    indices = {i for batch in take(part, count) for i in batch}
    return ({i for i in indices if i < 160}, {i for i in indices if i >= 160})


@pytest.mark.parametrize('fraction, sizes', [
    (1.0, [160, 96]), (1 / 2, [80, 48]), (1 / 4, [40, 24]),
    (1 / 8, [20, 12]), (1 / 16, [10, 6]), (.33, [53, 32])])
def test_a_fraction_of_each_data_set_is_used_and_nothing_else(
        fraction, sizes):
    """600 batches of 3 from at most 256 samples make many epochs."""
    found = seen(fraction=fraction)
    assert [len(part) for part in found] == sizes
    assert max(found[1]) < 256
    subset = sampler(sizes=(160, 96), fraction=fraction)
    assert subset.sizes == sizes
    assert len(subset) == sum(size // 3 for size in sizes)


def test_smaller_fractions_are_inside_larger_ones():
    larger = seen(fraction=1.0)
    for fraction in (1 / 2, 1 / 4, 1 / 8, 1 / 16):
        smaller = seen(fraction=fraction)
        assert all(a < b for a, b in zip(smaller, larger))
        larger = smaller


def test_which_samples_a_fraction_has_is_seeded_apart_from_their_order():
    one = seen(fraction=.25)
    assert seen(fraction=.25, seed=7) == one
    other = seen(fraction=.25, fraction_seed=1)
    assert all(a != b for a, b in zip(one, other))
    # unrelated subsets share 10 of 40 samples (hypergeometric, sd 2.4); the
    # first ones of the data set would always be among them
    assert len(one[0] & other[0]) <= 20
    # data sets of one size do not share their choice
    twins = sampler(sizes=(160, 160), fraction=.25)
    assert set(twins.subsets[0]) != set(twins.subsets[1])


def test_the_whole_fraction_is_the_sequence_without_one():
    assert take(sampler(fraction=1.0, fraction_seed=5), 50) == take(
        sampler(), 50)


def test_every_rank_has_the_same_subset(monkeypatch):
    arguments = dict(sizes=(160, 96), fraction=.25)
    everything = take(sampler(**arguments), 3 * 20)
    for rank in range(3):
        monkeypatch.setattr(
            'genpercept_mm.datasets.samplers.mixture_sampler.get_dist_info',
            lambda: (rank, 3))
        assert take(sampler(**arguments), 20) == everything[rank::3]


@pytest.mark.parametrize('skipped', [1, 100, 5000])
def test_a_resumed_fraction_goes_on(skipped):
    resumed = sampler(sizes=(160, 96), fraction=.25)
    resumed.skip(skipped)
    assert take(resumed, 30) == take(
        sampler(sizes=(160, 96), fraction=.25), 30, skipped)


def test_proportions_are_those_of_the_subsets():
    """16 and 5 samples make 4 batches and 1; 64 and 20 made 16 and 5."""
    part = sampler(sizes=(64, 20), batch_size=4, probabilities=None,
                   fraction=.25)
    np.testing.assert_allclose(part.probabilities, [4 / 5, 1 / 5])


def test_in_a_runner_the_batch_size_is_the_loaders():
    loader = Runner.build_dataloader(
        dict(batch_size=4,
             sampler=dict(type='InfiniteSampler'),
             batch_sampler=dict(type='genpercept_mm.MixtureSampler',
                                probabilities=[.5, .5]),
             dataset=ConcatDataset([Toy(9), Toy(6)])), seed=11)
    assert loader.batch_sampler.seed == 11
    assert len(loader) == 9 // 4 + 6 // 4
    for batch in islice(loader, 20):
        names = batch['name']
        assert len(names) == 4
        assert len({name.split('/')[0] for name in names}) == 1


@pytest.mark.parametrize('change, message', [
    (dict(probabilities=[.5, .3, .2]), 'one entry for each of 2 data sets'),
    (dict(probabilities=[.5]), 'one entry for each of 2 data sets'),
    (dict(probabilities=[1.1, -.1]), 'not negative'),
    (dict(probabilities=[0, 0]), 'not all zero'),
    (dict(probabilities=[float('nan'), 1]), 'finite'),
    (dict(sizes=(10, 2)), r'have \[10, 2\] samples .*, so 1 of them cannot '
     'fill a batch of 3'),
    (dict(fraction=.25, sizes=(10, 20)), r'have \[2, 5\] samples \(the '
     r'fraction 0.25 of \[10, 20\]\), so 1 of them'),
    (dict(fraction=0), 'fraction must be above 0 and at most 1, got 0'),
    (dict(fraction=1.5), 'fraction must be above 0 and at most 1, got 1.5'),
    (dict(fraction=float('nan')), 'fraction must be above 0'),
    (dict(fraction_seed=-1), 'fraction_seed must be an integer from 0 on'),
    (dict(batch_size=0), 'batch_size must be a positive integer, got 0'),
])
def test_bad_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=f'MixtureSampler: .*{message}'):
        sampler(**change)


@pytest.mark.parametrize('name', ['fraction_seed', 'batch_size'])
def test_numbers_that_are_not_whole_are_refused(name):
    with pytest.raises(TypeError, match=f'{name} must be int, got 2.5'):
        sampler(**{name: 2.5})


def test_probabilities_need_several_data_sets():
    with pytest.raises(ValueError, match='need a ConcatDataset, got Toy'):
        MixtureSampler(InfiniteSampler(Toy(9)), 3, [1.])


def test_a_sampler_without_data_set_is_refused():
    with pytest.raises(ValueError, match='SimpleNamespace has no dataset; '
                       r"set sampler=dict\(type='InfiniteSampler'\)"):
        MixtureSampler(SimpleNamespace(), 3)


def test_negative_skip_is_refused():
    with pytest.raises(ValueError, match='must not be negative, got -1'):
        sampler().skip(-1)
