"""Data sets whose augmentations depend on the place in the training."""
from typing import NamedTuple

from torch.utils.data import Dataset

from genpercept_mm.utils.step_draws import seeded


class Draw(NamedTuple):
    """A sample to load.

    Attributes:
        index (int): In the data set.
        seed (tuple[int]): Words that seed the augmentations.
    """
    index: int
    seed: tuple


class SeededDataset(Dataset):
    """Load samples of another data set with given random numbers.

    Items are `Draw` or plain indices, which change nothing. All other
    attributes are those of the data set, also where they are set.

    Args:
        dataset (Dataset): Any data set that takes an index.
    """

    def __init__(self, dataset):
        object.__setattr__(self, 'dataset', dataset)

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, item):
        if not isinstance(item, Draw):
            return self.dataset[item]
        with seeded(*item.seed):
            return self.dataset[item.index]

    def __getitems__(self, items):
        # torch's loader prefers this, and would find that of the data set
        return [self[item] for item in items]

    def __setattr__(self, name, value):
        setattr(self.dataset, name, value)

    def __getattr__(self, name):
        # while it is unpickled, there is no data set yet
        if name == 'dataset':
            raise AttributeError(name)
        return getattr(self.dataset, name)
