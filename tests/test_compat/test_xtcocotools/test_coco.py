import json

import numpy as np
import pytest
from keypoint_cases import draw_people, draw_results, without

from genpercept_mm.compat.xtcocotools.coco import COCO


@pytest.fixture
def people(tmp_path):
    path = tmp_path / 'labels.json'
    path.write_text(json.dumps(without(draw_people(), 'iscrowd')))
    return COCO(str(path))


def test_missing_iscrowd_is_0(people):
    ids = people.getAnnIds(iscrowd=0)
    assert len(ids) == len(people.anns) > 5
    assert people.getAnnIds(iscrowd=1) == []


def test_image_ids_may_be_text(tmp_path):
    content = draw_people()
    for item in content['images']:
        item['id'] = f'image {item["id"]}'
    for item in content['annotations']:
        item['image_id'] = f'image {item["image_id"]}'
    path = tmp_path / 'labels.json'
    path.write_text(json.dumps(content))
    people = COCO(str(path))
    name = content['annotations'][0]['image_id']
    assert people.loadImgs(name) == [content['images'][0]]
    assert people.loadImgs([name]) == people.loadImgs(name)
    found = people.getAnnIds(name)
    assert found == people.getAnnIds(imgIds=[name])
    assert {x['image_id'] for x in people.loadAnns(found)} == {name}


def test_results_of_a_file_or_a_list(people, tmp_path):
    results = draw_results(draw_people())
    path = tmp_path / 'results.json'
    path.write_text(json.dumps(results))
    for source in (str(path), results):
        loaded = people.loadRes(source)
        assert sorted(loaded.anns) == list(range(1, len(results) + 1))
        for result, given in zip(loaded.anns.values(), results):
            x, y = given['keypoints'][::3], given['keypoints'][1::3]
            assert result['area'] == pytest.approx(np.ptp(x) * np.ptp(y))


def test_results_may_be_empty(people):
    loaded = people.loadRes([])
    assert loaded.anns == {} and loaded.getAnnIds() == []
    assert loaded.getImgIds() == people.getImgIds()
    assert loaded.loadCats(1) == people.loadCats(1)


def test_results_of_other_images_are_refused(people):
    with pytest.raises(AssertionError, match='do not correspond'):
        people.loadRes([dict(image_id=99, bbox=[0, 0, 1, 1])])
