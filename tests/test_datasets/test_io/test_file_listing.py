import csv
import io
import os

import numpy as np
import pytest

from genpercept_mm.datasets.io.file_listing import (
    IMAGE_SUFFIXES,
    FileListing,
    read_lines,
    split_columns,
    walk_files,
)


def touch(*parts):
    path = os.path.join(*map(str, parts))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, 'w').close()


def test_one_listing_per_folder(tmp_path, monkeypatch):
    for index in range(50):
        touch(tmp_path, 'a', f'{index}.png')
    calls = []
    scandir = os.scandir
    monkeypatch.setattr(
        os, 'scandir', lambda path: calls.append(path) or scandir(path))
    listing = FileListing()
    found = [listing.exists(str(tmp_path / 'a' / f'{index}.png'))
             for index in range(60)]
    assert found == [True] * 50 + [False] * 10
    assert calls == [str(tmp_path / 'a')]


def test_absent_folder_is_empty(tmp_path):
    listing = FileListing()
    assert not listing.exists(str(tmp_path / 'no' / 'file'))
    assert listing.images(str(tmp_path / 'no')) == []


def test_images_are_sorted_and_chosen_by_suffix(tmp_path):
    for name in ('b.JPG', 'a.png', 'Thumbs.db', '._a.png', 'c.npy'):
        touch(tmp_path, name)
    assert FileListing().images(str(tmp_path)) == ['a.png', 'b.JPG']


def test_walk_leaves_hidden_files_and_folders_out(tmp_path):
    for name in ('z.txt', 'b/y.txt', 'b/c/x.txt', '.git/w', 'b/.hidden'):
        touch(tmp_path, name)
    assert walk_files(str(tmp_path)) == ['b/c/x.txt', 'b/y.txt', 'z.txt']


def test_lines_keep_their_numbers(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text('\n a b \n\n\tc\n')
    assert read_lines(str(path)) == [(2, 'a b'), (4, 'c')]


def link(target, *parts):
    path = os.path.join(*map(str, parts))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.symlink(target, path)


def test_links_to_nowhere_are_no_files(tmp_path):
    touch(tmp_path, 'there.png')
    link('nowhere/a.png', tmp_path, 'a.png')
    link('there.png', tmp_path, 'b.png')
    link('c.png', tmp_path, 'c.png')
    listing = FileListing()
    assert listing.names(str(tmp_path)) == {'there.png', 'b.png'}
    assert listing.images(str(tmp_path)) == ['b.png', 'there.png']
    assert [listing.exists(str(tmp_path / f'{name}.png'))
            for name in 'abc'] == [False, True, False]


def test_two_links_to_their_own_folder(tmp_path):
    for name in ('x.png', 'y/z.png'):
        touch(tmp_path, name)
    for name in ('a', 'b', 'y/up'):
        link('.' if name < 'c' else '..', tmp_path, name)
    assert walk_files(str(tmp_path)) == ['x.png', 'y/z.png']


def test_links_lead_outside_and_the_first_path_counts(tmp_path):
    for name in ('real/deep/er/x.png', 'other/y.png', 'root/z.png'):
        touch(tmp_path, name)
    link('../real/deep', tmp_path, 'root', 'late')
    link('../real/deep', tmp_path, 'root', 'early')
    link('../../other', tmp_path, 'root', 'folder', 'o')
    assert walk_files(str(tmp_path / 'root')) == [
        'early/er/x.png', 'folder/o/y.png', 'z.png']


def test_dangling_links_are_listed_so_that_they_are_missed(tmp_path):
    touch(tmp_path, 'x.png')
    link('nowhere', tmp_path, 'a.png')
    link('b.png', tmp_path, 'b.png')  # to itself
    link('d', tmp_path, 'c')
    link('c', tmp_path, 'd')
    assert walk_files(str(tmp_path)) == ['a.png', 'b.png', 'c', 'd', 'x.png']


@pytest.mark.parametrize('seed', range(6))
def test_every_real_folder_is_listed_once(tmp_path, seed):
    """Random trees with random links, against a walk over real paths."""
    rng = np.random.default_rng(seed)
    folders = [str(tmp_path / 'root')]
    for index in range(8):
        folders.append(os.path.join(str(rng.choice(folders)), f'f{index}'))
        touch(folders[-1], f'{index}.png')
    touch(folders[0], 'top.png')
    for index in range(8):
        link(str(rng.choice(folders)), str(rng.choice(folders)), f'l{index}')
    expected, todo = {}, [folders[0]]
    while todo:
        folder = os.path.realpath(todo.pop())
        if folder in expected:
            continue
        names = os.listdir(folder)
        paths = [os.path.join(folder, name) for name in names]
        todo += filter(os.path.isdir, paths)
        expected[folder] = [p for p in paths if os.path.isfile(p)]
    found = walk_files(folders[0])
    real = [os.path.realpath(os.path.join(folders[0], p)) for p in found]
    assert sorted(real) == sorted(sum(expected.values(), []))
    assert found == sorted(found)


def test_suffixes_are_those_that_a_reader_takes():
    """OpenCV's or Pillow's own lists."""
    from PIL import Image
    known = set(Image.registered_extensions()) | {'.dib', '.pnm'}
    assert set(IMAGE_SUFFIXES) <= known
    assert {'.jfif', '.gif', '.jp2', '.webp'} <= set(IMAGE_SUFFIXES)


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig'])
@pytest.mark.parametrize('newline', ['\n', '\r\n', '\r'])
def test_byte_order_marks_and_ends_of_lines(tmp_path, encoding, newline):
    path = tmp_path / 'list.txt'
    with open(path, 'w', encoding=encoding, newline=newline) as file:
        file.write('ä.png b\n# a comment\n\n  #c\nc#d.png e\u2028f\n')
    assert read_lines(str(path)) == [(1, 'ä.png b'), (5, 'c#d.png e\u2028f')]


@pytest.mark.parametrize('encoding', ['latin-1', 'utf-16', 'utf-32'])
def test_other_encodings_are_named(tmp_path, encoding):
    path = tmp_path / os.fsdecode(b'l\xe9.txt')
    path.write_text('ä.png', encoding=encoding)
    with pytest.raises(ValueError, match=r'l\\xe9.txt is not UTF-8 text .*; '
                       'save it as UTF-8'):
        read_lines(str(path))


@pytest.mark.parametrize('line, columns', [
    ('a.png b.png', ['a.png', 'b.png']),
    ('a.png   b.png 721.5', ['a.png', 'b.png', '721.5']),
    ('"a b.png" "c  d.png"', ['a b.png', 'c  d.png']),
    ('a.png "c d.png" 7', ['a.png', 'c d.png', '7']),
    ('a b.png\tc d.png', ['a b.png', 'c d.png']),
    ('a b.png\t\tc d.png\t 7', ['a b.png', 'c d.png', '7']),
    ('"a\tb.png"\tc.png', ['a\tb.png', 'c.png']),
    ('a"b.png\tc.png', ['a"b.png', 'c.png']),
    ("it's.png b.png", ["it's.png", 'b.png'])])
def test_columns(line, columns):
    assert split_columns(line) == columns


def test_columns_are_those_that_were_written():
    """By Python's writer of tables, from names with blanks and quotes."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        names = [''.join(rng.choice(list('ab "\'#é'), 5)).strip() + '.png'
                 for _ in range(3)]
        content = io.StringIO()
        csv.writer(content, delimiter='\t').writerow(names)
        assert split_columns(content.getvalue().strip()) == names


@pytest.mark.parametrize('line', ['"a b.png c.png', 'a.png b".png',
                                  '"a" "b" "'])
def test_open_quotes_are_refused(line):
    with pytest.raises(ValueError, match='a quote is not closed'):
        split_columns(line)
