import os

import pytest

from genpercept_mm.utils.files import write_bytes, write_whole


def text_writer(text, fail=False):

    def write(path):
        with open(path, 'w') as file:
            file.write(text)
        if fail:
            raise OSError('disk full')

    return write


def test_old_content_stays_until_the_new_is_whole(tmp_path):
    path = tmp_path / 'new folder/file.txt'
    write_whole(path, text_writer('old'))
    with pytest.raises(OSError, match='disk full'):
        write_whole(path, text_writer('torn', fail=True))
    assert path.read_text() == 'old'
    assert os.listdir(path.parent) == ['file.txt']
    write_whole(path, text_writer('new'))
    assert path.read_text() == 'new'


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
