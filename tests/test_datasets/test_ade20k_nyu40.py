import cv2
import numpy as np
import pytest
from mmseg.datasets import ADE20KDataset

from genpercept_mm.datasets import ADE20KNYU40Dataset, HypersimDataset
from genpercept_mm.datasets.ade20k_nyu40 import ADE20K_TO_NYU40

# The same thing under the two vocabularies' names
SYNONYMS = {
    'bed ': 'bed', 'windowpane': 'window', 'bookcase': 'bookshelf',
    'painting': 'picture', 'blind': 'blinds', 'shelf': 'shelves',
    'chest of drawers': 'dresser', 'rug': 'floormat', 'apparel': 'clothes',
    'book': 'books', 'television receiver': 'television'}


def test_mapped_classes_have_the_same_meaning_in_mmsegs_list():
    ade, nyu = ADE20KDataset.METAINFO['classes'], HypersimDataset.METAINFO[
        'classes']
    assert len(ADE20K_TO_NYU40) == len(set(ADE20K_TO_NYU40.values())) == 33
    for index, target in ADE20K_TO_NYU40.items():
        name = ade[index - 1]
        assert SYNONYMS.get(name, name) == nyu[target - 1]


def test_pixels_are_mapped_and_the_rest_is_ignored(tmp_path):
    for folder in ('images', 'annotations'):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / 'images/a.jpg'), np.zeros((2, 3, 3), np.uint8))
    # unlabelled, wall, sky | bag, floor, chair
    cv2.imwrite(str(tmp_path / 'annotations/a.png'),
                np.array([[0, 1, 3], [116, 4, 20]], np.uint8))
    dataset = ADE20KNYU40Dataset(
        data_root=str(tmp_path),
        data_prefix=dict(img_path='images', seg_map_path='annotations'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='genpercept_mm.LoadSegLabel', num_ids=151),
            dict(type='mmseg.PackSegInputs')])
    label = dataset[0]['data_samples'].gt_sem_seg.data[0]
    assert label.tolist() == [[255, 0, 255], [36, 1, 4]]
    assert dataset.metainfo['classes'][36] == 'bag'


def test_other_classes_are_refused():
    with pytest.raises(ValueError, match='remove metainfo.classes'):
        ADE20KNYU40Dataset.get_label_map(('wall', ))


def fill(root, names=('a', 'b')):
    for folder, suffix in (('images', 'jpg'), ('annotations', 'png')):
        (root / folder).mkdir()
        for name in names:
            cv2.imwrite(str(root / folder / f'{name}.{suffix}'),
                        np.zeros((2, 3), np.uint8))
    return dict(data_root=str(root), pipeline=[], data_prefix=dict(
        img_path='images', seg_map_path='annotations'))


@pytest.mark.parametrize('ann_file', ['', 'list.txt'])
def test_samples_are_those_of_mmseg(tmp_path, ann_file):
    kwargs = fill(tmp_path)
    (tmp_path / 'list.txt').write_text('a\nb\n')
    ours = ADE20KNYU40Dataset(ann_file=ann_file, **kwargs)
    stock = ADE20KDataset(ann_file=ann_file, **kwargs)
    assert len(ours) == len(stock) == 2
    for mine, theirs in zip(ours, stock):
        assert dict(mine, label_map=None) == dict(theirs, label_map=None)


def test_a_list_may_have_a_byte_order_mark_and_comments(tmp_path):
    kwargs = fill(tmp_path)
    (tmp_path / 'list.txt').write_text('\ufeff# two\na\n\nb \n')
    assert len(ADE20KNYU40Dataset(ann_file='list.txt', **kwargs)) == 2


def test_a_link_to_its_own_folder_is_not_followed_again(tmp_path):
    kwargs = fill(tmp_path)
    (tmp_path / 'images/loop').symlink_to(tmp_path / 'images')
    (tmp_path / 'images/again').symlink_to(tmp_path / 'images')
    assert len(ADE20KNYU40Dataset(**kwargs)) == 2


@pytest.mark.parametrize('lost', ['annotations/a.png', 'annotations', 'images',
                                  'list.txt'])
def test_what_is_missing_is_named(tmp_path, lost):
    kwargs = fill(tmp_path)
    (tmp_path / 'list.txt').write_text('a\n')
    (tmp_path / lost).rename(tmp_path / 'elsewhere')
    name = lost if '.' in lost else lost + '/' if lost[0] == 'a' else lost
    with pytest.raises(FileNotFoundError, match=name):
        ADE20KNYU40Dataset(
            ann_file=lost if lost == 'list.txt' else '', **kwargs)


def test_a_link_to_nowhere_is_a_missing_label(tmp_path):
    kwargs = fill(tmp_path)
    (tmp_path / 'annotations/b.png').unlink()
    (tmp_path / 'annotations/b.png').symlink_to('nowhere')
    with pytest.raises(FileNotFoundError, match='annotations/b.png'):
        ADE20KNYU40Dataset(**kwargs)
