from mmengine.config import Config
from reproduction.frames import (
    count_test_frames,
    count_train_frames,
)


def config(root, batch_sampler=None):
    part = dict(type='genpercept_mm.HypersimDataset', data_root=root,
                pipeline=[dict(type='LoadImageFromFile')])
    return Config(dict(
        default_scope='mmseg',
        train_dataloader=dict(
            batch_size=2, batch_sampler=batch_sampler,
            sampler=dict(type='InfiniteSampler'),
            dataset=dict(type='ConcatDataset', datasets=[
                dict(part, split='train'), dict(part, split='val')])),
        test_dataloader=dict(batch_size=1, dataset=dict(part, split='test'))))


def test_three_frames_in_each_split(hypersim_root):
    cfg = config(hypersim_root)
    assert count_train_frames(cfg) == 6
    assert count_test_frames(cfg) == 3


def test_only_the_frames_that_the_sampler_takes(hypersim_root):
    """Two thirds of three and of three."""
    cfg = config(hypersim_root, dict(
        type='genpercept_mm.MixtureSampler', probabilities=[.5, .5],
        fraction=2 / 3))
    assert count_train_frames(cfg) == 4
