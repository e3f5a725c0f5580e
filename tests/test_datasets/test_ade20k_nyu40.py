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
