"""Configs whose parts contradict each other, and those that do not."""
import copy

import pytest
from mmengine.config import Config, ConfigDict

from genpercept_mm.codecs import AffineDepthCodec
from genpercept_mm.engine import check_config as module
from genpercept_mm.engine.check_config import check_config

DEPTH = 'configs/mini/genpercept_vae_mini-hypersim-depth.py'
CLASSES = 'configs/mini/genpercept_upernet_mini-hypersim.py'
CODEC = dict(type='AffineDepthCodec', space='disparity')


@pytest.fixture(scope='module')
def shipped():
    return {name: Config.fromfile(name) for name in (DEPTH, CLASSES)}


@pytest.fixture
def told(monkeypatch):
    lines = []
    monkeypatch.setattr(
        module, 'print_log', lambda text, **options: lines.append(text))
    return lines


@pytest.fixture
def check(shipped):
    def run(name, **changes):
        cfg = copy.deepcopy(shipped[name])
        cfg.merge_from_dict({
            key.replace('__', '.'): value for key, value in changes.items()})
        check_config(cfg)
    return run


def target(codec, **more):
    """A training on one codec in the head, and this one in the pipeline."""
    head = dict(codec=dict(CODEC))
    pipeline = [dict(type='LoadDepth'), dict(
        type='genpercept_mm.EncodeTarget', codec=codec)]
    return Config(dict(
        model=dict(decode_head=head), train_dataloader=dict(dataset=dict(
            pipeline=pipeline)), **more))


@pytest.mark.parametrize('name', [DEPTH, CLASSES])
def test_shipped_configs_agree(check, told, name):
    """All others: where they are built, in the tests of configs."""
    check(name)
    assert told == []


# -- codecs -------------------------------------------------------------------


@pytest.mark.parametrize('changes, other', [
    (dict(model__decode_head__codec__space='disparity'),
     r'train_dataloader.dataset.*pipeline.\d.codec'),
    (dict(visualizer__codec__space='disparity'), 'visualizer.codec')])
def test_one_of_three_codecs_was_changed(check, changes, other):
    """As --cfg-options reaches one place."""
    with pytest.raises(ValueError, match=(
            f'^{other} is .*, and model.decode_head.codec is .*; give both '
            'the same codec')):
        check(DEPTH, **changes)


def test_all_three_were_changed(check):
    check(DEPTH, model__decode_head__codec=CODEC, visualizer__codec=CODEC,
          train_dataloader__dataset__pipeline__2__codec=CODEC)


@pytest.mark.parametrize('codec, same', [
    (CODEC, True),
    (dict(CODEC, type='genpercept_mm.AffineDepthCodec'), True),
    # defaults, written out or in another form
    (dict(CODEC, quantiles=[.02, .98], normalizer='quantile'), True),
    (dict(CODEC, type=AffineDepthCodec), True),
    (dict(CODEC, quantiles=(.01, .98)), False),
    (dict(CODEC, normalizer='minmax'), False),
    (dict(type='AffineDepthCodec'), False),
    (dict(type='MatteCodec'), False)])
@pytest.mark.parametrize('place', ['pipeline', 'visualizer'])
def test_codecs_are_compared_by_what_they_do(codec, same, place):
    cfg = (target(codec) if place == 'pipeline' else target(
        CODEC, visualizer=dict(type='DenseLocalVisualizer', codec=codec)))
    if same:
        check_config(cfg)
    else:
        with pytest.raises(ValueError, match=(
                f'{place}.*codec is {codec["type"]}.*AffineDepthCodec')):
            check_config(cfg)


def test_every_data_set_of_several_is_compared():
    cfg = target(CODEC)
    first = cfg.train_dataloader.dataset
    second = copy.deepcopy(first)
    second.pipeline[1].codec.space = 'depth'
    cfg.train_dataloader.dataset = ConfigDict(
        type='ConcatDataset', datasets=[first, dict(
            type='RepeatDataset', times=2, dataset=second)])
    with pytest.raises(ValueError, match=(
            r'train_dataloader.dataset.datasets.1.dataset.pipeline.1.codec')):
        check_config(cfg)


# -- classes ------------------------------------------------------------------


@pytest.mark.parametrize('place', ['decode_head', 'auxiliary_head'])
def test_another_number_of_classes_is_named(check, place):
    names = [f'class {index}' for index in range(3)]
    right = {'model__decode_head__num_classes': 3,
             'model__auxiliary_head__num_classes': 3,
             'train_dataloader__dataset__metainfo': dict(classes=names)}
    check(CLASSES, **right)
    with pytest.raises(ValueError, match=(
            f'model.{place}.num_classes is 4, and train_dataloader.dataset.'
            'metainfo has 3 classes; set num_classes to 3')):
        check(CLASSES, **dict(right, **{f'model__{place}__num_classes': 4}))


@pytest.mark.parametrize('auxiliary, fits', [
    (None, True), ([], True), ([dict(num_classes=2)], True), ([dict()], True),
    ([dict(num_classes=2), dict(num_classes=19)], False)])
def test_heads_and_data_of_any_number(auxiliary, fits):
    data = dict(type='ConcatDataset', datasets=[
        dict(metainfo=dict(classes=('a', 'b'))), dict(metainfo=dict(x=1)),
        dict(metainfo=None), dict(metainfo=dict(classes='classes.txt'))])
    cfg = Config(dict(
        model=dict(decode_head=dict(num_classes=2),
                   auxiliary_head=auxiliary),
        train_dataloader=dict(dataset=data)))
    if fits:
        check_config(cfg)
    else:
        with pytest.raises(ValueError, match=(
                'model.auxiliary_head.1.num_classes is 19, and '
                r'train_dataloader.dataset.datasets.0.metainfo has 2')):
            check_config(cfg)


# -- schedules ----------------------------------------------------------------


def scheduled(parts, max_iters=50, **more):
    check_config(Config(dict(
        train_cfg=dict(max_iters=max_iters), param_scheduler=parts, **more)))


@pytest.mark.parametrize('part, what', [
    # a fine-tuning of 50 iterations that never leaves the warm-up
    (dict(type='LinearLR', end=2000, by_epoch=False), 'ends at 2000'),
    (dict(type='PolyLR', begin=20, end=51, by_epoch=False), 'ends at 51'),
    (dict(type='CosineAnnealingLR', begin=50, end=900, by_epoch=False),
     'begins at 50')])
def test_a_schedule_that_is_longer_than_the_training_is_told(
        told, part, what):
    fine = dict(type='LinearLR', end=20, by_epoch=False)
    scheduled([fine, part])
    assert len(told) == 1
    assert f'param_scheduler.1 ({part["type"]}) {what}, ' in told[0]
    assert '50 iterations' in told[0]
    told.clear()
    scheduled(part)
    assert len(told) == 1


@pytest.mark.parametrize('part', [
    dict(type='LinearLR', end=50, by_epoch=False),
    dict(type='PolyLR', begin=49, by_epoch=False),
    # a constant rate has no end to miss
    dict(type='ConstantLR', factor=1., end=2000, by_epoch=False),
    # epochs are not compared with iterations
    dict(type='MultiStepLR', milestones=[90], end=100),
    dict(type='MultiStepLR', milestones=[90], end=100, by_epoch=True),
    # mmengine's infinity
    dict(type='StepLR', step_size=3, end=int(1e9), by_epoch=False)])
def test_what_fits_is_not_told(told, part):
    scheduled([part])
    assert told == []


def test_trainings_by_epochs_and_none_are_not_judged(told):
    part = dict(type='LinearLR', end=2000, by_epoch=False)
    scheduled([part], None)
    for fields in (dict(), dict(model=None, train_cfg=None),
                   dict(param_scheduler=None),
                   dict(train_cfg=dict(by_epoch=True, max_epochs=3),
                        param_scheduler=[part]),
                   dict(model=dict(decode_head=[dict(num_classes=2)]))):
        check_config(Config(fields))
    # groups of several optimizers, by name
    scheduled(dict(a=[part], b=part))
    assert told == []
