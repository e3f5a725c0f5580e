import errno
import os

import pytest

from genpercept_mm.utils import files
from genpercept_mm.utils.files import (
    PART,
    printable,
    write_bytes,
    write_named,
    write_whole,
)


def text_writer(text, fail=None):

    def write(path):
        with open(path, 'w') as file:
            file.write(text)
        if fail is not None:
            raise fail

    return write


# torch tells of a full disk by a RuntimeError
@pytest.mark.parametrize('fault', [
    OSError('disk full'), RuntimeError('PytorchStreamWriter failed: disk full')
])
def test_old_content_stays_until_the_new_is_whole(tmp_path, fault):
    path = tmp_path / 'new folder/file.txt'
    write_whole(path, text_writer('old'))
    with pytest.raises(OSError, match=f'cannot write {path} .*disk full'):
        write_whole(path, text_writer('torn', fail=fault))
    assert path.read_text() == 'old'
    assert os.listdir(path.parent) == ['file.txt']
    write_whole(path, text_writer('new'))
    assert path.read_text() == 'new'


def test_errors_of_the_content_are_not_those_of_the_disk(tmp_path):
    with pytest.raises(ValueError, match='^a slip$'):
        write_whole(tmp_path / 'a', text_writer('', fail=ValueError('a slip')))
    assert os.listdir(tmp_path) == []


def test_mode_is_that_of_an_ordinary_file(tmp_path):
    write_whole(tmp_path / 'a', text_writer(''))
    (tmp_path / 'b').write_text('')
    assert (tmp_path / 'a').stat().st_mode == (tmp_path / 'b').stat().st_mode


def test_works_on_a_bare_file_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_whole('a', text_writer('x'))
    assert (tmp_path / 'a').read_text() == 'x'


def test_bytes_are_written_as_they_are(tmp_path):
    path = tmp_path / 'new folder/file.bin'
    write_bytes(path, b'\r\n\x00')
    assert path.read_bytes() == b'\r\n\x00'
    assert os.listdir(path.parent) == ['file.bin']


def test_full_disk_names_the_file_and_keeps_the_old_one(tmp_path, run_python):
    """A limit on the size of files stands for the full disk, for each way of
    writing: bytes, pictures, HDF5, checkpoints and safetensors."""
    done = run_python('-c', '''
import os, resource, signal, sys
import numpy as np, torch
from mmengine.runner.checkpoint import save_checkpoint
from safetensors.torch import save_file
from genpercept_mm.datasets.io.hypersim_io import write_hdf5
from genpercept_mm.utils.files import write_bytes, write_whole
from genpercept_mm.utils.pictures import write_png
noise = np.random.default_rng(0).integers(0, 256, (90, 90)).astype(np.uint8)
tensors = dict(x=torch.from_numpy(noise))
writers = dict(
    bytes=lambda path: write_bytes(path, noise.tobytes()),
    hdf5=lambda path: write_hdf5(path, noise),
    png=lambda path: write_png(path, noise),
    pth=lambda path: save_checkpoint(tensors, path),
    safetensors=lambda path: write_whole(
        path, lambda part: save_file(tensors, part)))
os.chdir(sys.argv[1])
for name in writers:
    with open('a.' + name, 'w') as file:
        file.write('old')
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for name, write in writers.items():
    try:
        write('a.' + name)
    except OSError as error:
        print('error', name, os.path.abspath('a.' + name) in str(error))
for name in sorted(os.listdir('.')):
    with open(name) as file:
        print('left', name, file.read())
''', tmp_path)
    lines = [line.split() for line in done.stdout.splitlines()
             if line.startswith(('error', 'left'))]
    kinds = ['bytes', 'hdf5', 'png', 'pth', 'safetensors']
    assert lines == [['error', kind, 'True'] for kind in kinds] + [
        ['left', f'a.{kind}', 'old'] for kind in kinds]


@pytest.mark.parametrize('name', [
    'a.png', 'b/c/a.png', 'b/../c.png', 'with blank.png', 'ä/ü.png',
    os.fsdecode(b'caf\xe9/\xff.png')])
def test_names_of_data_keep_their_folders(tmp_path, name):
    path = write_named(str(tmp_path), name, b'content')
    assert os.path.samefile(path, tmp_path / os.path.normpath(name))
    with open(path, 'rb') as file:
        assert file.read() == b'content'


@pytest.mark.parametrize('name', ['../a.png', 'b/../../a.png', '/a.png',
                                  os.fsdecode(b'../caf\xe9')])
def test_names_of_data_stay_in_their_folder(tmp_path, name):
    with pytest.raises(ValueError, match='must stay in .*/inner; change'):
        write_named(str(tmp_path / 'inner'), name, b'')
    assert os.listdir(tmp_path) == []


@pytest.fixture
def told(monkeypatch):
    lines = []
    monkeypatch.setattr('mmengine.logging.print_log',
                        lambda text, **_: lines.append(text))
    return lines


def test_too_long_names_are_changed_and_told(tmp_path, told):
    """Parts of 255 bytes are the most on ext4, as on most others."""
    names = [f'{"x" * 300}{end}/{"ü" * 200}{end}.png' for end in 'ab'] + [
        f'{"x" * 99}.{"y" * 300}/a.png']
    paths = [write_named(str(tmp_path), name, name.encode())
             for name in names]
    assert len(set(paths)) == 3
    for name, path, line in zip(names, paths, told):
        assert os.path.getsize(path) == len(name.encode())
        assert path.endswith('.png')
        assert name in line and path in line
        folder, file = os.path.relpath(path, tmp_path).split('/')
        # what the name begins with stays
        assert folder[:99] == 'x' * 99
        assert file[:50] in ('ü' * 50, 'a.png')
    assert len(told) == 3


@pytest.mark.parametrize('number', [errno.EILSEQ, errno.EINVAL])
def test_names_that_a_file_system_refuses_are_changed(
        tmp_path, told, monkeypatch, number):
    """A stand-in for a file system that takes only UTF-8 without marks."""
    replace = os.replace

    def strict(source, target):
        name = os.path.basename(target)
        if any(char in name for char in '?:\udce9'):
            raise OSError(number, os.strerror(number))
        replace(source, target)

    monkeypatch.setattr(files.os, 'replace', strict)
    names = [os.fsdecode(b'caf\xe9.png'), 'caf?.png', 'caf:.png']
    paths = [write_named(str(tmp_path), name, name.encode('utf-8', 'replace'))
             for name in names]
    assert sorted(os.listdir(tmp_path)) == sorted(
        map(os.path.basename, paths))
    assert len(set(paths)) == 3
    assert all(os.path.basename(path).startswith('caf_') for path in paths)
    assert r'caf\xe9.png' in told[0] and paths[0] in told[0]


def test_other_errors_are_not_answered_by_another_name(tmp_path, told):
    (tmp_path / 'a').write_text('a file')
    with pytest.raises(OSError, match='cannot write .*/a/b.png'):
        write_named(str(tmp_path), 'a/b.png', b'')
    assert os.listdir(tmp_path) == ['a'] and not told


def test_null_bytes_are_replaced(tmp_path, told):
    path = write_named(str(tmp_path), 'a\0b.png', b'content')
    assert '\0' not in path and os.path.getsize(path) == 7 and told


@pytest.mark.parametrize('raw, text', [
    (b'caf\xe9', r'caf\xe9'), ('café'.encode(), 'café'),
    (b'\xff/\xfe.png', r'\xff/\xfe.png')])
def test_paths_are_printable(raw, text):
    assert printable(os.fsdecode(raw)) == printable(raw) == text
    text.encode()


def test_parts_are_hidden_and_in_the_same_folder(tmp_path):
    seen = []
    write_whole(tmp_path / 'a', lambda path: seen.append(path))
    assert os.path.dirname(seen[0]) == str(tmp_path)
    assert os.path.basename(seen[0]).startswith(PART) and PART[0] == '.'
