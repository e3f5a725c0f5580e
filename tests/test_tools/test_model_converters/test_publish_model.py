import importlib.util
import json
import os
import os.path as osp
import re
import shutil
import sys
from glob import glob

import pytest
import torch
import yaml
from conftest import MINI_CONFIG, ROOT, mini_options, run_python
from mmengine.config import Config

TOOL = 'tools/model_converters/publish_model.py'
METRICS = {'aAcc': 66.85, 'mIoU': 21.22, 'data_time': 0.1, 'time': 0.2}


class Evil:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path, )


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the tool; gives its words."""

    def run_tool(*args):
        spec = importlib.util.spec_from_file_location(
            'publish_model', osp.join(ROOT, TOOL))
        tool = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(tool)
        monkeypatch.setattr(sys, 'argv', ['', *map(str, args)])
        capsys.readouterr()
        tool.main()
        return capsys.readouterr().out

    return run_tool


@pytest.fixture
def checkpoint(tmp_path):
    """Write what an interrupted training leaves."""
    torch.manual_seed(0)
    path = tmp_path / 'in' / 'iter_100.pth'
    path.parent.mkdir()
    torch.save(
        dict(state_dict=torch.nn.Linear(3, 2).state_dict(),
             optimizer=dict(state={0: torch.ones(6)}),
             ema_state_dict={'module.weight': torch.ones(2, 3)},
             meta=dict(iter=100, epoch=0, time='20260101_000000')), path)
    return path


@pytest.fixture
def results(tmp_path):
    path = tmp_path / 'in' / 'results.json'
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(METRICS))
    return path


def test_what_is_written_and_said(checkpoint, results, tmp_path, run):
    out = run(checkpoint, tmp_path / 'seg', '--config', MINI_CONFIG,
              '--results', results, '--task', 'Semantic Segmentation',
              '--dataset', 'mini-Hypersim', '--training-data', 'A', 'B')
    path, = glob(str(tmp_path / 'seg-*.pth'))
    said, entry = out.split('\n\n')
    assert f'{path}: 2 tensors, 8 values\n' in said
    assert 'Left out: optimizer, ema_state_dict, meta.time\n' in said
    assert said.endswith('The weights are the averaged ones')
    assert yaml.safe_load(entry) == [{
        'Name': 'genpercept_upernet_mini-hypersim',
        'In Collection': 'GenPercept', 'Config': MINI_CONFIG,
        'Metadata': {
            'Training Data': ['A', 'B'], 'Batch Size': 8, 'Iterations': 100},
        'Results': [{
            'Task': 'Semantic Segmentation', 'Dataset': 'mini-Hypersim',
            'Metrics': {'aAcc': 66.85, 'mIoU': 21.22}}],
        'Weights': osp.basename(path)}]
    published = torch.load(path, weights_only=True)
    assert set(published) == {'state_dict', 'meta'}
    # the checkpoint had none
    assert published['meta']['cfg'] == Config.fromfile(
        MINI_CONFIG).pretty_text


def test_safetensors_and_back(checkpoint, tmp_path, run):
    run(checkpoint, tmp_path / 'x', '--format', 'safetensors')
    path, = glob(str(tmp_path / 'x-*'))
    assert path.endswith('.safetensors')
    out = run(path, tmp_path / 'back')
    assert 'Left out' not in out
    path, = glob(str(tmp_path / 'back-*.pth'))
    back, given = (torch.load(name, weights_only=True)
                   for name in (path, checkpoint))
    assert back['meta'] == dict(iter=100, epoch=0)
    assert set(back['state_dict']) == set(given['state_dict'])
    assert all(torch.equal(back['state_dict'][key], value)
               for key, value in given['state_dict'].items())


def test_the_metafile_gets_the_entry(checkpoint, results, tmp_path, run):
    metafile = tmp_path / 'metafile.yml'
    shutil.copy('configs/metafile.yml', metafile)
    config = 'configs/mini/genpercept_upernet_mini-hypersim.py'
    out = run(checkpoint, tmp_path / 'seg', '--config', config, '--metafile',
              metafile, '--results', results, '--task', 'Seg', '--dataset',
              'A')
    assert f'{metafile}: entry genpercept_upernet_mini-hypersim' in out
    models, old = (yaml.safe_load(open(path))['Models']
                   for path in (metafile, 'configs/metafile.yml'))
    assert [m['Name'] for m in models] == [m['Name'] for m in old]
    model, = (m for m in models if m not in old)
    path, = glob(str(tmp_path / 'seg-*.pth'))
    assert model['Weights'] == osp.basename(path)
    assert model['Metadata']['Iterations'] == 500
    assert model['Results'][0]['Metrics'] == dict(aAcc=66.85, mIoU=21.22)


def test_trained_weights_only_is_said(checkpoint, tmp_path, run):
    content = torch.load(checkpoint)
    content['meta']['left_out'] = dict(body=1)
    torch.save(content, checkpoint)
    assert 'trained weights only' in run(checkpoint, tmp_path / 'x')


def test_nothing_is_written_when_something_is_wrong(
        checkpoint, results, tmp_path, run):
    prefix = tmp_path / 'out' / 'x'

    def refused(match, path=checkpoint, *args):
        with pytest.raises(SystemExit, match='nothing written.*' + match):
            run(path, prefix, *args)
        assert not prefix.parent.exists()

    refused('none.pth can not be found', tmp_path / 'none.pth')
    text = tmp_path / 'text.pth'
    text.write_text('no checkpoint')
    refused('text.pth is a text file that begins with', text)
    torch.save(dict(state_dict={}, meta=Evil(tmp_path / 'ran')), text)
    refused('would run code', text)
    assert not (tmp_path / 'ran').exists()
    torch.save(dict(weight=torch.ones(1)), text)
    refused('has no state_dict of tensors', text)
    text.write_bytes(checkpoint.read_bytes()[:500])
    refused('text.pth', text)

    config = ['--config', MINI_CONFIG]
    refused('none.py', checkpoint, '--config', 'none.py')
    metafile = tmp_path / 'metafile.yml'
    refused('metafile.yml', checkpoint, *config, '--metafile', metafile)
    shutil.copy('configs/metafile.yml', metafile)
    refused("collection 'Ours' is not in", checkpoint, *config, '--metafile',
            metafile, '--collection', 'Ours')
    measured = [*config, '--results', results, '--task', 'Seg']
    refused('do not say on what data set', checkpoint, *measured)
    results.write_text('{"mIoU": 1}\n{"mIoU": 2}')
    refused('results.json is not what tools/test.py writes', checkpoint,
            *measured)
    assert metafile.read_text() == open('configs/metafile.yml').read()


def test_options_that_need_each_other(checkpoint, results, tmp_path, run,
                                      capsys):
    for args, message in (
            (['--results', results, '--task', 'Seg'], 'need --config'),
            (['--config', MINI_CONFIG, '--task', 'Seg'], 'go together')):
        with pytest.raises(SystemExit):
            run(checkpoint, tmp_path / 'x', *args)
        assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_published_model_tests_as_before(
        hypersim_root, trained_mini, tmp_path, run):
    trained = osp.join(trained_mini, 'iter_2.pth')
    for suffix in ('pth', 'safetensors'):
        run(trained, tmp_path / 'x', '--format', suffix)
        published, = glob(str(tmp_path / f'x-*.{suffix}'))
        # Adam's two moments of each trained value are gone
        assert osp.getsize(published) < 0.6 * osp.getsize(trained)
    numbers = []
    for index, path in enumerate([trained, published]):
        done = run_python(
            'tools/test.py', MINI_CONFIG, path, '--work-dir',
            tmp_path / str(index), *mini_options(hypersim_root))
        log = done.stdout + done.stderr
        numbers.append(re.search(
            r'aAcc: \S+ +mIoU: \S+ +mAcc: \S+', log)[0])
    assert numbers[0] == numbers[1]
    assert 'safetensors backend' in log
