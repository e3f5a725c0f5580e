import os

from genpercept_mm.datasets.io.file_listing import (
    FileListing,
    read_lines,
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
    listdir = os.listdir
    monkeypatch.setattr(
        os, 'listdir', lambda path: calls.append(path) or listdir(path))
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
