import importlib.metadata
import importlib.util

from conftest import run_python

from genpercept_mm.cli.main import main


def rows_of(text):
    return {line[:24].strip(): line[24:] for line in text.split('\n')}


def test_report_names_every_package_and_path():
    import mmseg
    import torch
    rows = rows_of(run_python('-m', 'genpercept_mm.env', hosts=False).stdout)
    # the distribution's version has no '+cpu'
    assert torch.__version__.startswith(rows['torch'].strip())
    assert rows['mmsegmentation'].strip() == mmseg.__version__
    assert rows['mmcv ops'].startswith(('stand-in', 'compiled'))
    assert rows['checkpoints'].startswith('weights only')


def test_missing_package_fails_with_the_remedy(monkeypatch, capsys):
    real_version = importlib.metadata.version
    real_find = importlib.util.find_spec

    def version(name):
        if name.startswith('h5py'):
            raise importlib.metadata.PackageNotFoundError(name)
        return real_version(name)

    monkeypatch.setattr(importlib.metadata, 'version', version)
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name, *args: (
            None if name == 'h5py' else real_find(name, *args)))
    assert main(['env']) == 1
    row = rows_of(capsys.readouterr().out)['h5py']
    assert 'MISSING: python tools/install.py' in row
