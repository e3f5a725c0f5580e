import pickle
import random

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Subset

from genpercept_mm.datasets.seeded_dataset import Draw, SeededDataset


class Noisy(Dataset):
    """Samples with random augmentations."""

    metainfo = dict(classes=('a', 'b'))

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return (index, random.random(), np.random.rand(),
                torch.rand(()).item())


def test_augmentations_follow_the_draw():
    dataset = SeededDataset(Noisy())
    first = dataset[Draw(2, (0, 5, 1))]
    np.random.rand()
    assert dataset[Draw(2, (0, 5, 1))] == first
    assert first[0] == 2
    assert not set(dataset[Draw(2, (0, 5, 2))][1:]) & set(first[1:])


def test_plain_indices_are_passed_on():
    dataset = SeededDataset(Noisy())
    torch.manual_seed(1)
    expected = torch.rand(()).item()
    torch.manual_seed(1)
    assert dataset[3][3] == expected and dataset[3][0] == 3


def test_it_stands_in_for_the_data_set():
    dataset = pickle.loads(pickle.dumps(SeededDataset(Noisy())))
    assert len(dataset) == 4 and dataset.metainfo == Noisy.metainfo
    assert not hasattr(dataset, 'pipeline')


def test_subsets_and_assignments_reach_the_data_set():
    """torch's loader calls __getitems__ where it finds it."""
    dataset = SeededDataset(Subset(Noisy(), [3, 1]))
    draws = [Draw(0, (0, 5, 0)), Draw(1, (0, 5, 1))]
    loader = DataLoader(dataset, batch_sampler=[draws], collate_fn=list)
    batch, = loader
    assert [item[0] for item in batch] == [3, 1]
    assert batch == [dataset[draw] for draw in draws]
    dataset.pipeline = 'other'
    assert dataset.dataset.pipeline == 'other'
