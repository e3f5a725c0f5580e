import json

import numpy as np
import pytest

pytest.importorskip('mmpose')
from mmpose.datasets import CocoDataset  # noqa: E402

from genpercept_mm.datasets.coco_pose import CocoPoseDataset  # noqa: E402

BOX = dict(image_id=5, category_id=1, bbox=[1, 2, 30, 40], score=0.5)


def write(folder, boxes=(BOX, ), num_keypoints=17):
    label = dict(id=3, image_id=5, category_id=1, bbox=[1, 2, 30, 40],
                 area=900, iscrowd=0, num_keypoints=num_keypoints,
                 keypoints=[7, 8, 2] * num_keypoints)
    (folder / 'labels.json').write_text(json.dumps(dict(
        images=[dict(id=5, file_name='a.jpg', width=64, height=48)],
        annotations=[label], categories=[dict(id=1, name='person')])))
    (folder / 'boxes.json').write_text(json.dumps(boxes))
    return dict(data_root=str(folder), ann_file='labels.json',
                data_prefix=dict(img=''), test_mode=True)


@pytest.mark.parametrize('detected', [False, True])
def test_good_files_give_what_mmpose_gives(tmp_path, detected):
    kwargs = write(tmp_path)
    if detected:
        kwargs['bbox_file'] = str(tmp_path / 'boxes.json')
    ours, stock = CocoPoseDataset(**kwargs), CocoDataset(**kwargs)
    assert len(ours) == len(stock) == 1
    np.testing.assert_array_equal(ours[0]['bbox'], [[1, 2, 31, 42]])
    assert ours[0].keys() == stock[0].keys()
    np.testing.assert_array_equal(
        ours[0]['keypoints'], stock[0]['keypoints'])


@pytest.mark.parametrize('boxes, message', [
    ([BOX, dict(BOX, image_id=6)], 'in 1 images, such as image_id 6, that'),
    ([dict(image_id=5)], 'must be a list of dicts with image_id'),
    (dict(annotations=[BOX]), 'must be a list of dicts with image_id'),
])
def test_boxes_of_other_images_or_form_are_refused(tmp_path, boxes, message):
    kwargs = write(tmp_path, boxes)
    with pytest.raises(ValueError, match=message):
        CocoPoseDataset(bbox_file=str(tmp_path / 'boxes.json'), **kwargs)


def test_missing_boxes_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.json.*Simple Baseline'):
        CocoPoseDataset(bbox_file=str(tmp_path / 'none.json'),
                        **write(tmp_path))


def test_other_numbers_of_keypoints_are_refused(tmp_path):
    with pytest.raises(ValueError, match='annotation 3 of .* has 14 keypoi'):
        CocoPoseDataset(**write(tmp_path, num_keypoints=14))


@pytest.mark.parametrize('change', [
    dict(keypoints=[0] * 51, num_keypoints=0),
    dict(iscrowd=1), None])
@pytest.mark.parametrize('test_mode', [True, False])
def test_labels_without_a_person_are_named(tmp_path, change, test_mode):
    kwargs = dict(write(tmp_path), test_mode=test_mode)
    data = json.loads((tmp_path / 'labels.json').read_text())
    data['annotations'] = [] if change is None else [
        dict(data['annotations'][0], **change)]
    (tmp_path / 'labels.json').write_text(json.dumps(data))
    with pytest.raises(ValueError, match='CocoPoseDataset: .*labels.json.* no '
                       'person with a visible keypoint'):
        CocoPoseDataset(**kwargs)


def test_one_person_among_others_is_enough(tmp_path):
    kwargs = write(tmp_path)
    data = json.loads((tmp_path / 'labels.json').read_text())
    person, = data['annotations']
    data['annotations'] += [
        dict(person, id=4, keypoints=[0] * 51, num_keypoints=0),
        dict(person, id=5, iscrowd=1)]
    (tmp_path / 'labels.json').write_text(json.dumps(data))
    ours, stock = CocoPoseDataset(**kwargs), CocoDataset(**kwargs)
    assert [ours[i]['id'] for i in range(len(ours))] == [
        stock[i]['id'] for i in range(len(stock))] == [3]


@pytest.mark.parametrize('part, change, message', [
    ('annotations', dict(bbox=[1, 2, float('nan'), 3]),
     'bbox of annotation 3 .* must be four finite numbers'),
    ('annotations', dict(bbox='1 2 3 4'), 'bbox of annotation 3'),
    ('annotations', dict(keypoints=[float('inf')] * 51),
     'annotation 3 of .* not finite numbers, and COCO has 17'),
    ('annotations', dict(keypoints=None), 'annotation 3 of .* not finite'),
    ('annotations', dict(id='x'), 'must have annotations'),
    ('annotations', dict(area={}, iscrowd='no'),
     "'area', 'iscrowd'. of annotation 3 .* must be numbers"),
    ('images', dict(file_name=None), 'image 5 must have file_name'),
    ('images', dict(width='wide'), 'image 5 must have file_name, width'),
])
def test_wrong_values_are_named(tmp_path, part, change, message):
    kwargs = write(tmp_path)
    data = json.loads((tmp_path / 'labels.json').read_text())
    data[part][0].update(change)
    (tmp_path / 'labels.json').write_text(json.dumps(data))
    with pytest.raises(ValueError, match=message) as raised:
        CocoPoseDataset(**kwargs)
    assert 'labels.json' in str(raised.value)


@pytest.mark.parametrize('part, number', [('images', 5), ('annotations', 3)])
def test_an_id_that_occurs_twice_is_refused(tmp_path, part, number):
    """pycocotools would give one of the two twice."""
    kwargs = write(tmp_path)
    data = json.loads((tmp_path / 'labels.json').read_text())
    data[part] *= 2
    (tmp_path / 'labels.json').write_text(json.dumps(data))
    with pytest.raises(ValueError, match=f'id {number} of {part} occurs'):
        CocoPoseDataset(**kwargs)


@pytest.mark.parametrize('name', ['labels.json', 'boxes.json'])
def test_a_file_that_is_cut_is_named(tmp_path, name):
    kwargs = write(tmp_path)
    path = tmp_path / name
    path.write_text(path.read_text()[:-3])
    with pytest.raises(ValueError, match=f'{name}.* is not JSON'):
        CocoPoseDataset(bbox_file=str(tmp_path / 'boxes.json'), **kwargs)


def test_missing_labels_are_named(tmp_path):
    kwargs = dict(write(tmp_path), ann_file='none.json')
    with pytest.raises(FileNotFoundError, match='none.json.*does not exist'):
        CocoPoseDataset(**kwargs)


def test_detected_boxes_of_other_things_are_no_persons(tmp_path):
    kwargs = write(tmp_path, [dict(BOX, category_id=18)])
    with pytest.raises(ValueError, match='boxes.json.* no box of category 1'):
        CocoPoseDataset(bbox_file=str(tmp_path / 'boxes.json'), **kwargs)
