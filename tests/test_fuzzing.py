"""Damaged input gives the right value or a clear error, through every door."""
import fuzzing
import pytest
from mmengine.registry import DefaultScope

from genpercept_mm.registry import CODECS, DATASETS, METRICS, TRANSFORMS

NEEDED = dict(DISMetric='py_sod_metrics', CocoPoseDataset='mmpose')
# of doors that read whole models
SLOW = ('pretrained', 'genpercept_folder', 'marigold_folder', 'lotus_folder',
        'e2e_ft_folder')


def try_cases(name, seeds):
    with DefaultScope.overwrite_default_scope('mmseg'):
        verdicts = {seed: fuzzing.judge(name, seed) for seed in seeds}
    wrong = {seed: verdict for seed, verdict in verdicts.items()
             if verdict not in ('right', 'clear')}
    assert not wrong


@pytest.mark.parametrize('name', fuzzing.DOORS)
def test_right_value_or_clear_error(name):
    pytest.importorskip(NEEDED.get(name, 'torch'))
    try_cases(name, range(2 if name in SLOW else 6))


@pytest.mark.nightly
@pytest.mark.parametrize('name', fuzzing.DOORS)
def test_right_value_or_clear_error_in_many_cases(name):
    pytest.importorskip(NEEDED.get(name, 'torch'))
    try_cases(name, range(6, 16 if name in SLOW else 36))


@pytest.mark.nightly
@pytest.mark.parametrize('name', [
    name for name in fuzzing.DOORS if name.startswith('load_')])
def test_a_file_cut_anywhere(name):
    """The seeds choose the format; short files are cut at every offset."""
    wrong = {}
    with DefaultScope.overwrite_default_scope('mmseg'):
        for seed in range(4):
            for cut in range(4000):
                try:
                    verdict = fuzzing.judge(name, seed, cut)
                except fuzzing.Uncut:
                    break
                if verdict not in ('right', 'clear'):
                    wrong[seed, cut] = verdict
    assert not wrong


def test_no_mutation_is_more_than_a_quarter(monkeypatch):
    monkeypatch.setattr(fuzzing, 'MADE', fuzzing.Counter())
    for name, seed in fuzzing.cases(len(fuzzing.DOORS)):
        if name not in SLOW and name not in NEEDED:
            fuzzing.judge(name, seed)
    made = fuzzing.MADE
    assert len(made) > 8 and max(made.values()) <= sum(made.values()) / 4


def test_every_public_door_is_tried():
    for registry in (DATASETS, METRICS, CODECS, TRANSFORMS):
        registry.import_from_location()
    doors = set(fuzzing.DOORS)

    def ours(registry):
        return {name for name, cls in registry.module_dict.items()
                if cls.__module__.startswith('genpercept_mm')}

    assert ours(DATASETS) <= doors
    assert ours(METRICS) <= doors
    assert ours(CODECS) - doors <= {'BaseDenseCodec'}
    loaders = {name for name in ours(TRANSFORMS) if name.startswith('Load')}
    assert {f'load_{name[4:].lower()}' for name in loaders} <= {
        door.replace('_', '', door.count('_') - 1) if door.startswith('load_')
        else door for door in doors} | {
            'load_hypersimimage', 'load_hypersimsemantic', 'load_seglabel'}


def test_a_fault_is_seen(monkeypatch):
    """The judge itself tells wrong results from right ones."""
    monkeypatch.setattr(fuzzing, 'SECONDS', .2)

    def hang(rng, folder):
        def call():
            while True:
                pass
        return call, ()

    def nan(rng, folder):
        return lambda: dict(a=[float('nan')]), ()

    def stranger(rng, folder):
        return lambda: int('x'), ('x', )

    def leftover(rng, folder):
        open('a.part', 'w').close()
        return lambda: 1, ()

    for door, verdict in ((hang, 'hangs'), (nan, 'not finite'),
                          (stranger, 'ValueError of'), (leftover, 'half')):
        fuzzing.DOORS[door.__name__] = door
        try:
            assert verdict in fuzzing.judge(door.__name__, 0)
        finally:
            del fuzzing.DOORS[door.__name__]
