"""Count the frames that a config trains and tests on."""
from types import SimpleNamespace

from mmengine.registry import DATA_SAMPLERS, DATASETS, DefaultScope


def count_train_frames(cfg):
    """Count the frames that training draws from.

    Args:
        cfg (Config): Config of a training; its data must exist.

    Returns:
        int: Number of frames of all data sets, or of the subsets that the
        batch sampler takes.
    """
    loader = cfg.train_dataloader
    dataset = _build_dataset(cfg, loader)
    if loader.get('batch_sampler') is None:
        return len(dataset)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        sampler = DATA_SAMPLERS.build(dict(
            loader.batch_sampler, batch_size=loader.batch_size,
            sampler=SimpleNamespace(dataset=dataset, seed=0)))
    return sum(getattr(sampler, 'sizes', [len(dataset)]))


def count_test_frames(cfg):
    """Count the frames that testing evaluates.

    Args:
        cfg (Config): Its test data must exist.

    Returns:
        int: Number of frames of all data sets.
    """
    return len(_build_dataset(cfg, cfg.test_dataloader))


def _build_dataset(cfg, loader):
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        return DATASETS.build(loader.dataset)
