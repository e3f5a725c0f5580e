import os.path as osp
import shutil
import subprocess
import sys
import tarfile
import zipfile
from glob import glob

import pytest
from conftest import ROOT

IGNORED = shutil.ignore_patterns('.git', '.venv*', 'data', 'work_dirs',
                                 'build', '*.egg-info', '.mim',
                                 '__pycache__')


@pytest.mark.slow
def test_wheel_and_sdist_carry_what_mim_and_pip_need(tmp_path):
    copy = str(tmp_path / 'copy')
    shutil.copytree(ROOT, copy, ignore=IGNORED)

    def run(*command):
        done = subprocess.run([sys.executable, *command], cwd=copy,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]

    run('setup.py', '-q', 'sdist', '-d', str(tmp_path))
    with tarfile.open(glob(str(tmp_path / '*.tar.gz'))[0]) as archive:
        archive.extractall(tmp_path / 'unpacked', filter='data')
    source, = glob(str(tmp_path / 'unpacked/*'))
    run('-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation',
        '-w', str(tmp_path), source)
    with zipfile.ZipFile(glob(str(tmp_path / '*.whl'))[0]) as wheel:
        names = set(wheel.namelist())
        entry, = (name for name in names if name.endswith('entry_points.txt'))
        commands = wheel.read(entry).decode()
    assert 'genpercept = genpercept_mm.cli.main:main' in commands
    for folder in ('configs', 'tools'):
        for path in glob(f'{folder}/**/*.*', recursive=True):
            if '__pycache__' not in path:
                assert osp.join('genpercept_mm/.mim', path) in names
    assert 'genpercept_mm/.mim/model-index.yml' in names
    assert 'genpercept_mm/models/backbones/sd_unet.py' in names
    weights = glob('genpercept_mm/weights/**/*.*', recursive=True)
    assert weights and set(weights) <= names
    assert not any(name.startswith('tests') for name in names)
