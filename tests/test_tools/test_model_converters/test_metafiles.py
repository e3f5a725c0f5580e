import difflib
import math

import pytest
import yaml
from metafiles import (
    add_entry,
    model_entry,
    read_results,
    write_entry,
)
from mmengine.config import Config

METAFILE = 'configs/metafile.yml'
CONFIG = 'configs/genpercept_vae_hypersim-normal.py'
OTHER = '''\
# models of a user
Models:
  # the first
  - Name: first
    In Collection: Ours
    Config: a/first.py
    Results: null  # not yet

  # the second
  - Name: second
    In Collection: Ours
    Paper: {Title: none}
    Results:
    - Task: Depth
      Dataset: nyu
      Metrics: {abs_rel: 0.5}
# the end
Collections:
- Name: Ours
'''


def entry(name='third', **more):
    return {'Name': name, 'In Collection': 'Ours', 'Config': f'b/{name}.py',
            'Metadata': {'Iterations': 5}, 'Results': None,
            'Weights': f'{name}-0123abcd.pth', **more}


def read_metafile():
    with open(METAFILE) as file:
        return file.read()


def changed_lines(old, new):
    return [line for line in difflib.ndiff(old.splitlines(), new.splitlines())
            if line[0] in '+-']


def test_numbers_are_grouped_by_data_set():
    metrics = {'nyu/abs_rel': 0.05, 'nyu/delta1': 0.96, 'kitti/abs_rel': 0.1,
               'kitti/n': math.nan, 'data_time': 0.1, 'time': 0.2}
    assert read_results(metrics, 'Depth Estimation') == [
        dict(Task='Depth Estimation', Dataset='nyu',
             Metrics=dict(abs_rel=0.05, delta1=0.96)),
        dict(Task='Depth Estimation', Dataset='kitti',
             Metrics=dict(abs_rel=0.1))]
    assert read_results({'coco/AP .5': 0.9}, 'Pose', 'COCO') == [
        dict(Task='Pose', Dataset='COCO', Metrics={'AP .5': 0.9})]
    assert read_results(dict(mIoU=21.22, time=1), 'Seg', 'ADE20K') == [
        dict(Task='Seg', Dataset='ADE20K', Metrics=dict(mIoU=21.22))]


def test_numbers_without_a_data_set_are_refused():
    with pytest.raises(ValueError, match=r"\['mIoU'\] do not say on what "
                       'data set'):
        read_results(dict(mIoU=21.22), 'Seg')
    with pytest.raises(ValueError, match=r"one name, 'all', for the data "
                       r"sets \['nyu', ''\]"):
        read_results({'nyu/abs_rel': 0.1, 'mIoU': 2}, 'Depth', 'all')
    with pytest.raises(ValueError, match='no metric among'):
        read_results(dict(time=0.1, best='iter_4'), 'Depth', 'nyu')


def test_an_entry_agrees_with_the_one_written_by_hand():
    by_hand, = (model for model in yaml.safe_load(read_metafile())['Models']
                if model['Config'] == CONFIG)
    cfg = Config.fromfile(CONFIG)
    ours = model_entry(
        CONFIG, cfg, dict(iter=cfg.train_cfg.max_iters, epoch=0),
        'out/x-0123abcd.pth', 'GenPercept', training_data=['Hypersim'])
    assert ours == dict(by_hand, Weights='x-0123abcd.pth')
    assert list(ours)[:-1] == list(by_hand)


def test_epochs_are_counted_where_the_config_does():
    cfg = Config(dict(
        train_cfg=dict(by_epoch=True, max_epochs=210), optim_wrapper=None,
        train_dataloader=dict(batch_size=8),
        # eight GPUs
        auto_scale_lr=dict(base_batch_size=64)))
    ours = model_entry('a/pose.py', cfg, dict(iter=400, epoch=20), 'x.pth',
                       'Ours', training_data=['COCO', 'AIC'])
    assert ours['Metadata'] == {
        'Training Data': ['COCO', 'AIC'], 'Batch Size': 64, 'Epochs': 20}
    bare = model_entry('a/pose.py', Config(), {}, 'x.pth', 'Ours')
    assert bare['Metadata'] == {} and bare['Results'] is None


def test_an_entry_is_filled_in_and_nothing_else_changes():
    text = read_metafile()
    results = [dict(Task='Surface Normals', Dataset='nyu',
                    Metrics=dict(mean=16.5))]
    cfg = Config.fromfile(CONFIG)
    # the best checkpoint, before the end
    ours = model_entry(CONFIG, cfg, dict(iter=100), 'x-0123abcd.pth',
                       'GenPercept', results)
    new = add_entry(text, ours)
    assert changed_lines(text, new) == [
        '-   Results: null', '+   Results:', '+   - Task: Surface Normals',
        '+     Dataset: nyu', '+     Metrics: {mean: 16.5}',
        '+   Weights: x-0123abcd.pth']
    model, = (model for model in yaml.safe_load(new)['Models']
              if model['Config'] == CONFIG)
    assert model['Results'] == results
    assert model['Metadata']['Iterations'] == 30000
    assert add_entry(new, ours) == new


def test_an_entry_is_put_last():
    text = read_metafile()
    ours = dict(entry(), **{'In Collection': 'GenPercept'})
    for given in (text, text.rstrip('\n')):
        new = add_entry(given, ours)
        assert new == text + write_entry(ours)
    assert yaml.safe_load(new)['Models'][-1] == ours


@pytest.mark.parametrize('name, before, after', [
    ('first', '  # the first\n', '\n  # the second\n'),
    ('second', '  # the second\n', '# the end\n'),
    ('third', '0.5}\n', '# the end\n')])
def test_comments_and_indentation_are_kept(name, before, after):
    new = add_entry(OTHER, entry(name, Results=None))
    models = {m['Name']: m for m in yaml.safe_load(new)['Models']}
    old = {m['Name']: m for m in yaml.safe_load(OTHER)['Models']}
    assert list(models) == [*old, *({name} - set(old))]
    for other in set(old) - {name}:
        assert models[other] == old[other]
    assert models[name]['Weights'] == f'{name}-0123abcd.pth'
    assert models[name]['Results'] is None
    assert models[name]['Metadata'] == dict(Iterations=5)
    assert models['second']['Paper'] == dict(Title='none')
    start = new.index(f'  - Name: {name}')
    assert new[:start].endswith(before)
    block = new[start:].split('-0123abcd.pth\n')
    assert block[1].startswith(after)
    assert '\n'.join(line for line in new.splitlines()
                     if '#' in line and line.lstrip()[0] == '#') == (
        '# models of a user\n  # the first\n  # the second\n# the end')


@pytest.mark.parametrize('text, message', [
    ('', 'not a metafile'), ('- a', 'not a metafile'),
    ('a: [', 'not a metafile'), ('Models: []\nCollections: []', 'not a'),
    ('Models:\n- Name: a\n', "not a metafile .*KeyError: 'Collections'"),
    (OTHER.replace('- Name: Ours', '- Name: Theirs'),
     r"collection 'Ours' is not in the metafile, which has \['Theirs'\]"),
    ('Collections: [{Name: Ours}]\nModels: [{Name: a}, {Name: b}]\n',
     '(?s)cannot change this metafile in place.*- Name: third')])
def test_other_files_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        add_entry(text, entry())


def test_results_stay_with_the_weights_they_were_measured_with():
    results = [dict(Task='Depth', Dataset='nyu', Metrics=dict(abs_rel=0.1))]
    text = add_entry(OTHER, entry('second', Results=results))
    again = yaml.safe_load(add_entry(text, entry('second', Results=None)))
    assert again['Models'][1]['Results'] == results
    other = add_entry(text, entry('second', Results=None,
                                  Weights='second-89abcdef.pth'))
    assert yaml.safe_load(other)['Models'][1]['Results'] is None
