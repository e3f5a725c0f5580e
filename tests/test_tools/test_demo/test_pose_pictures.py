import json

import cv2
import numpy as np
import pytest

pytest.importorskip('mmpose')
from demo.pose_pictures import draw_poses  # noqa: E402
from mmpose.datasets.datasets.utils import parse_pose_metainfo  # noqa: E402

META = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))
NAMES = [META['keypoint_id2name'][i] for i in range(17)]
POSE = [value for i in range(17) for value in (10 + 3 * i, 8 + 3 * i, 2)]


def draw(folder, labels=(POSE, ), predictions=(), names=NAMES):
    """One grey image of 64 x 80; gives the picture as written."""
    (folder / 'images').mkdir()
    cv2.imwrite(str(folder / 'images/a.png'), np.full((64, 80, 3), 128))
    (folder / 'labels.json').write_text(json.dumps(dict(
        images=[dict(id=7, file_name='a.png')],
        categories=[dict(id=1, keypoints=list(names))],
        annotations=[dict(image_id=7, keypoints=pose) for pose in labels])))
    (folder / 'results.json').write_text(json.dumps([
        dict(image_id=7, keypoints=pose, score=1) for pose in predictions]))
    path, = draw_poses(str(folder / 'labels.json'),
                       str(folder / 'results.json'),
                       str(folder / 'images'), str(folder / 'out'))
    assert path == str(folder / 'out/a.png')
    return cv2.imread(path)


def changed(half):
    return np.abs(half.astype(int) - 128).max(2) > 30


def test_labels_left_predictions_right(tmp_path):
    picture = draw(tmp_path)
    assert picture.shape == (64, 160, 3)
    left, right = changed(picture[:, :80]), changed(picture[:, 80:])
    assert not right.any()
    for x, y, _ in np.reshape(POSE, (17, 3)):
        assert left[y - 1:y + 2, x - 1:x + 2].any()


def test_equal_poses_give_equal_halves(tmp_path):
    picture = draw(tmp_path, predictions=[POSE])
    np.testing.assert_array_equal(picture[:, :80], picture[:, 80:])


def test_what_is_not_labelled_or_uncertain_is_left_out(tmp_path):
    hidden = np.reshape(POSE, (17, 3))
    hidden[:, 2] = 0
    unsure = hidden + [0, 0, 0.2]
    picture = draw(tmp_path, [hidden.flatten().tolist()],
                   [unsure.flatten().tolist()])
    assert not changed(picture).any()


def test_other_keypoints_are_refused(tmp_path):
    with pytest.raises(ValueError, match="only COCO's 17 can be drawn"):
        draw(tmp_path, names=NAMES[:5], labels=[])
