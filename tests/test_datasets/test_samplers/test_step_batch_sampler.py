import itertools

import pytest
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import ConcatDataset, Dataset, RandomSampler

from genpercept_mm.datasets.samplers import MixtureSampler, StepBatchSampler


class Numbers(Dataset):

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size


def infinite(size=10, seed=3, shuffle=True):
    return InfiniteSampler(Numbers(size), shuffle=shuffle, seed=seed)


def mixture(seed=3):
    dataset = ConcatDataset([Numbers(30), Numbers(12)])
    return MixtureSampler(InfiniteSampler(dataset, seed=seed), 4, [.7, .3])


def steps(sampler, count, batch_size, micro_batch, world_size=1, start=0):
    """The images of each step, put together from all ranks, by place."""
    images = [{} for _ in range(count)]
    for rank in range(world_size):
        batches = StepBatchSampler(sampler, batch_size, micro_batch, rank,
                                   world_size)
        batches.start = start
        for turn, batch in enumerate(itertools.islice(
                batches, count * batches.accumulation)):
            assert len(batch) == micro_batch
            for draw in batch:
                _, step, place = draw.seed
                assert step == start + turn // batches.accumulation
                assert place not in images[step - start]
                images[step - start][place] = draw.index
    assert all(sorted(step) == list(range(batch_size)) for step in images)
    return [[step[place] for place in sorted(step)] for step in images]


@pytest.mark.parametrize('sampler', [infinite(), mixture()],
                         ids=['shuffled', 'mixture'])
def test_steps_do_not_depend_on_ranks_and_micro_batches(sampler):
    expected = steps(sampler, 9, 8, 4)
    for micro_batch, world_size in ((2, 1), (1, 1), (4, 2), (2, 2), (2, 4),
                                    (1, 8)):
        assert steps(sampler, 9, 8, micro_batch, world_size) == expected
    assert steps(sampler, 4, 8, 2, 2, start=5) == expected[5:]


def test_every_image_occurs_once_in_a_pass():
    images = sum(steps(infinite(10), 5, 4, 2), [])
    assert sorted(images[:10]) == sorted(images[10:]) == list(range(10))
    assert images[:10] != images[10:]
    assert sum(steps(infinite(10, seed=4), 5, 4, 2), []) != images


def test_without_shuffling_images_are_in_order():
    images = sum(steps(infinite(5, shuffle=False), 3, 4, 2), [])
    assert images == [0, 1, 2, 3, 4] * 2 + [0, 1]


def test_a_mixture_is_that_of_its_sampler():
    groups = list(itertools.islice(mixture(), 6))
    assert steps(mixture(), 3, 8, 4) == [
        groups[0] + groups[1], groups[2] + groups[3], groups[4] + groups[5]]


def test_what_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match='8 images cannot be divided into '
                       'micro batches of 3 on 1 ranks'):
        StepBatchSampler(infinite(), 8, 3)
    with pytest.raises(ValueError, match='groups of 4 images'):
        StepBatchSampler(mixture(), 8, 8)
    with pytest.raises(TypeError, match='order of RandomSampler cannot be'):
        StepBatchSampler(RandomSampler(Numbers(3)), 2, 1)
    with pytest.raises(ValueError, match='the data set is empty'):
        StepBatchSampler(infinite(0), 8, 2)


def test_orders_of_other_classes_are_not_guessed():
    class Weighted(InfiniteSampler):
        """Has a shuffle and a data set, and its own order."""

    with pytest.raises(TypeError, match='order of Weighted cannot be cut'):
        StepBatchSampler(Weighted(Numbers(8), seed=0), 4, 2)


def test_the_length_is_that_in_steps():
    sampler = DefaultSampler(Numbers(16), seed=0)
    assert {len(StepBatchSampler(sampler, 8, micro, 0, ranks))
            for micro, ranks in ((8, 1), (2, 2), (1, 4))} == {2}


@pytest.mark.parametrize('make', [infinite, mixture])
def test_the_seed_can_be_set(make):
    batches = StepBatchSampler(make(seed=3), 8, 4)
    batches.seed = 9
    other = StepBatchSampler(make(seed=9), 8, 4)
    assert list(itertools.islice(batches, 6)) == list(
        itertools.islice(other, 6))
