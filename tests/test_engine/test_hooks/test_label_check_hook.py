from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from genpercept_mm.engine.hooks.label_check_hook import LabelCheckHook
from genpercept_mm.models import VAEDecodeHead


def batch(*labels, **meta):
    samples = []
    for index, label in enumerate(labels):
        samples.append(SegDataSample(metainfo=dict(
            img_path=f'img/{index}.png', **{
                key: value.format(index) for key, value in meta.items()})))
        if label is not None:
            samples[-1].gt_sem_seg = PixelData(
                data=torch.as_tensor(label, dtype=torch.int64)[None])
    return dict(inputs=[], data_samples=samples)


def check(data, name='before_train_iter', head=True, **fields):
    head = SimpleNamespace(num_classes=3, **fields) if head else None
    model = SimpleNamespace(decode_head=head)
    getattr(LabelCheckHook(), name)(SimpleNamespace(model=model), 0, data)


GOOD = np.array([[0, 1], [2, 255]])


@pytest.mark.parametrize('name', [
    'before_train_iter', 'before_val_iter', 'before_test_iter'])
@pytest.mark.parametrize('wrong', [3, 254, -1, 256, 70000])
def test_ids_that_are_not_classes_are_named(name, wrong):
    label = GOOD.copy()
    label[1, 0] = wrong
    check(batch(GOOD, GOOD), name)
    with pytest.raises(ValueError, match=(
            rf'label seg/1.png holds the ids \[{wrong}\]; there are 3 '
            r'classes, so ids are 0..2, or 255')):
        check(batch(GOOD, label, seg_map_path='seg/{}.png'), name)
    with pytest.raises(ValueError, match='label img/0.png'):
        check(batch(label), name)


def test_it_refuses_what_torch_refuses():
    """The loss of a training, which names nothing."""
    logits = torch.zeros(1, 3, 2, 2)
    for wrong in range(-3, 9):
        label = GOOD.copy()
        label[0, 0] = wrong
        errors = []
        for attempt in (
                lambda: check(batch(label)),
                lambda: torch.nn.functional.cross_entropy(
                    logits, torch.from_numpy(label)[None],
                    ignore_index=255)):
            try:
                attempt()
                errors.append(False)
            except (ValueError, IndexError, RuntimeError):
                errors.append(True)
        assert errors[0] == errors[1] == (wrong not in (0, 1, 2)), wrong


def test_the_head_says_what_is_ignored():
    check(batch(np.where(GOOD == 255, 9, GOOD)), ignore_index=9)
    with pytest.raises(ValueError, match=r'ids \[255\].* or 9 for'):
        check(batch(GOOD), ignore_index=9)


@pytest.mark.parametrize('data', [
    batch(None), None, dict(inputs=1), dict(data_samples=None), [1, 2]])
def test_batches_without_class_maps_pass(data):
    check(data)
    check(data, head=False)


def test_models_without_classes_pass():
    check(batch(GOOD + 100), head=False)
    LabelCheckHook().before_train_iter(
        SimpleNamespace(model=torch.nn.Linear(1, 1)), 0, batch(GOOD + 100))


# -- masks of 0 and 255 -------------------------------------------------------


MASK = np.array([[0, 255], [255, 0]])


@pytest.fixture
def told(monkeypatch):
    from genpercept_mm.engine.hooks import label_check_hook
    lines = []
    monkeypatch.setattr(label_check_hook, 'print_log',
                        lambda text, **options: lines.append(text))
    return lines


def runner_of(classes, **fields):
    return SimpleNamespace(model=SimpleNamespace(decode_head=SimpleNamespace(
        num_classes=classes, **fields)))


@pytest.mark.parametrize('size', [1, 3, 7, 100, 150])
@pytest.mark.parametrize('label, warns', [
    (MASK, True), (np.minimum(MASK, 1), False), (np.zeros((2, 2)), False),
    (np.full((2, 2), 255), False)])
def test_a_training_on_masks_is_told_once(told, size, label, warns):
    """After a hundred labels, whatever the size of a batch."""
    hook, runner = LabelCheckHook(), runner_of(2)
    for index in range(240 // size + 1):
        if index * size < 100:
            assert told == []
        hook.before_train_iter(runner, index, batch(
            *[label] * size, seg_map_path='seg/{}.png'))
    assert len(told) == warns
    if warns:
        assert 'as in seg/0.png' in told[0]
        assert 'num_ids=2, label_map={255: 1}' in told[0]


@pytest.mark.parametrize('classes', [2, 3])
def test_scores_of_masks_are_refused_for_two_classes(told, classes):
    hook, runner = LabelCheckHook(), runner_of(classes)
    # labels of a training before do not count
    hook.before_train_iter(runner, 0, batch(np.ones((2, 2))))
    for name in ('val', 'test'):
        getattr(hook, f'before_{name}_epoch')(runner)
        getattr(hook, f'before_{name}_iter')(runner, 0, batch(MASK, MASK))
    hook.after_val_epoch(runner, {})
    assert len(told) == 1
    if classes == 2:
        with pytest.raises(ValueError, match='all 2 labels hold only'):
            hook.after_test_epoch(runner, {})
    else:
        hook.after_test_epoch(runner, {})
    assert len(told) == 2


@pytest.mark.parametrize('labels, fields', [
    ([MASK, np.minimum(MASK, 1)], {}), ([MASK % 254], {}),
    ([np.where(MASK == 255, 9, 0)], dict(ignore_index=9)), ([None], {})])
def test_other_labels_are_not_masks(told, labels, fields):
    hook, runner = LabelCheckHook(), runner_of(2, **fields)
    hook.before_test_epoch(runner)
    hook.before_test_iter(runner, 0, batch(*labels))
    hook.after_test_epoch(runner, {})
    assert told == []


def test_heads_whose_codec_knows_the_classes_are_not_compared():
    head = VAEDecodeHead(dict(type='ColormapCodec'), arch='mini')
    model = SimpleNamespace(decode_head=head)
    LabelCheckHook().before_val_iter(
        SimpleNamespace(model=model), 0, batch(GOOD))
