import builtins
import os

import cv2
import pytest

from genpercept_mm.datasets import BaseListDataset


class Pairs(BaseListDataset):
    NAME = 'pairs'
    LABELS = ('depth', )
    LIST = 'data_split/pairs.txt'
    FACTS = dict(depth_format='png', depth_scale=0.5)


def write(root, lines, files=()):
    (root / 'list.txt').write_text('\n'.join(lines) + '\n')
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_lines_become_samples(tmp_path):
    write(tmp_path, ['s/a.jpg d/a.png 721.5', '', 's/b.jpg d/b.png'],
          ['s/a.jpg', 'd/a.png', 's/b.jpg', 'd/b.png'])
    dataset = Pairs(data_root=str(tmp_path), ann_file='list.txt')
    assert len(dataset) == 2
    info = dataset.get_data_info(1)
    assert info['img_path'] == f'{tmp_path}/s/b.jpg'
    assert info['depth_path'] == f'{tmp_path}/d/b.png'
    assert info['sample_name'] == 's/b'
    assert (info['depth_format'], info['depth_scale']) == ('png', 0.5)


def test_columns_in_other_folders(tmp_path):
    write(tmp_path, ['a.jpg a.png'], ['a.jpg', 'other/a.png'])
    dataset = Pairs(data_root=str(tmp_path), ann_file='list.txt',
                    data_prefix=dict(depth_path='other'))
    assert dataset.get_data_info(0)['depth_path'] == f'{tmp_path}/other/a.png'
    with pytest.raises(ValueError, match='Pairs: keys of data_prefix must be '
                       r"one of \('img_path', 'depth_path'\), got 'depth'"):
        Pairs(data_root=str(tmp_path), ann_file='list.txt',
              data_prefix=dict(depth='other'))


def test_missing_columns_name_the_line(tmp_path):
    write(tmp_path, ['a.jpg a.png', '', 'b.jpg'])
    with pytest.raises(ValueError, match=r"Pairs: line 3 of .*list.txt, 'b.jpg"
                       r"', has 1 column\(s\); expected 2: img_path, "
                       'depth_path'):
        Pairs(data_root=str(tmp_path), ann_file='list.txt')


NAMES = ['k 1/a.jpg', 'k 1/a.png', 'k/b.jpg', 'k/b.png']
PLAIN = '"k 1/a.jpg" "k 1/a.png"\nk/b.jpg k/b.png\n'


@pytest.mark.parametrize('text', [
    PLAIN, '\ufeff' + PLAIN, '# a comment\n\n' + PLAIN,
    PLAIN.replace('\n', '\r\n'), PLAIN.replace('"k 1/a.png"', '"k 1/a.png" 7'),
    'k 1/a.jpg\tk 1/a.png\nk/b.jpg\tk/b.png', '\ufeff# x\n' + PLAIN])
@pytest.mark.parametrize('missing', ['raise', 'skip'])
def test_marks_blanks_and_comments_lose_no_sample(tmp_path, text, missing):
    write(tmp_path, [], NAMES)
    (tmp_path / 'list.txt').write_bytes(text.encode())
    dataset = Pairs(data_root=str(tmp_path), ann_file='list.txt',
                    missing=missing)
    assert [dataset.get_data_info(i)[key] for i in range(len(dataset))
            for key in Pairs.COLUMNS] == [f'{tmp_path}/{n}' for n in NAMES]


@pytest.mark.parametrize('line, message', [
    ('k 1/a.jpg k 1/a.png', r'.*/1/a.jpg \(line 4 of .*list.txt; names with '
     r'blanks must be in double quotes\)'),
    ('k/c.jpg k/b.png', r'.*/k/c.jpg \(line 4 of .*list.txt\)')])
def test_missing_files_are_told_with_their_line(tmp_path, line, message):
    write(tmp_path, ['# files', '', 'k/b.jpg k/b.png', line], NAMES)
    with pytest.raises(FileNotFoundError, match=f'Pairs: 1 of 2 samples lack '
                       f"files; the first is {message}. Set missing='skip'"):
        Pairs(data_root=str(tmp_path), ann_file='list.txt')


@pytest.mark.parametrize('content, message', [
    (b'"k 1/a.jpg k/b.png', "line 1 of .*list.txt, .* cannot be read: a quote"
     ' is not closed'),
    (b'\n#\nk/b.jpg "k/b.png', 'line 3 of .*list.txt.*quote is not closed'),
    ('k/b.jpg k/ä.png'.encode('latin-1'), 'list.txt is not UTF-8 text')])
def test_lists_that_cannot_be_read_are_named(tmp_path, content, message):
    write(tmp_path, [], NAMES)
    (tmp_path / 'list.txt').write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Pairs(data_root=str(tmp_path), ann_file='list.txt')


def test_links_to_nowhere_are_missing_files(tmp_path):
    write(tmp_path, ['a.jpg a.png', 'b.jpg b.png'],
          ['a.jpg', 'a.png', 'b.jpg'])
    os.symlink('nowhere', tmp_path / 'b.png')
    with pytest.raises(FileNotFoundError, match='1 of 2 .*/b.png'):
        Pairs(data_root=str(tmp_path), ann_file='list.txt')
    dataset = Pairs(data_root=str(tmp_path), ann_file='list.txt',
                    missing='skip')
    assert len(dataset) == 1


def test_missing_list_tells_where_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match='list.txt. does not exist; '
                       'it is data_split/pairs.txt of the GenPercept'):
        Pairs(data_root=str(tmp_path), ann_file='list.txt')


def test_ten_thousand_frames_start_without_touching_images(
        tmp_path, monkeypatch):
    lines, files = [], []
    for folder in range(5):
        for frame in range(2000):
            pair = [f'{kind}/{folder}/{frame}.png' for kind in 'rd']
            lines.append(' '.join(pair))
            files += pair
    for kind in 'rd':
        for folder in range(5):
            os.makedirs(tmp_path / kind / str(folder))
    for name in files:
        (tmp_path / name).touch()
    (tmp_path / 'list.txt').write_text('\n'.join(lines))

    opened, listed, looked = [], [], []
    plain_open, plain_scandir, plain_stat = open, os.scandir, os.stat
    monkeypatch.setattr(builtins, 'open', lambda path, *args, **kwargs: (
        opened.append(path) or plain_open(path, *args, **kwargs)))
    monkeypatch.setattr(
        os, 'scandir', lambda path: listed.append(path) or plain_scandir(path))
    monkeypatch.setattr(os, 'stat', lambda path, *args, **kwargs: (
        looked.append(path) or plain_stat(path, *args, **kwargs)))

    def fail(*args):
        raise AssertionError('an image was decoded')

    monkeypatch.setattr(cv2, 'imread', fail)
    monkeypatch.setattr(cv2, 'imdecode', fail)
    dataset = Pairs(data_root=str(tmp_path), ann_file='list.txt')
    assert len(dataset) == 10000
    assert opened == [str(tmp_path / 'list.txt')]
    assert len(listed) == 10
    assert len(looked) < 50
