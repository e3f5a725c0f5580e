import json

import mmengine
import pytest
from conftest import run_python


def test_results_are_written_as_before(tmp_path):
    content = dict(a=[1, 2.5], b='ä')
    for suffix in ('json', 'pkl', 'yaml'):
        path = str(tmp_path / 'new' / f'a.{suffix}')
        mmengine.dump(content, path)
        assert mmengine.load(path) == content
    mmengine.fileio.LocalBackend().put_text(
        'ä', tmp_path / 'a.txt', encoding='latin-1')
    assert (tmp_path / 'a.txt').read_bytes() == b'\xe4'


@pytest.mark.parametrize('suffix', ['json', 'pkl'])
def test_a_full_disk_keeps_earlier_results(tmp_path, suffix):
    path = tmp_path / f'results.{suffix}'
    path.write_text(json.dumps('earlier'))
    done = run_python('-c', f'''
import resource, signal
import genpercept_mm, mmengine
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
mmengine.dump(list(range(10000)), {str(path)!r})
''', check=False)
    assert done.returncode and str(path) in done.stderr
    assert json.loads(path.read_text()) == 'earlier'
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
