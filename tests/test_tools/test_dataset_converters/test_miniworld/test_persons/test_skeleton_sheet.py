import cv2
import numpy as np
import pytest
from miniworld.persons import (
    build_persons,
    skeleton_sheet,
)
from miniworld.persons.skeleton import KEYPOINTS
from miniworld.persons.skeleton_sheet import COLORS, draw_skeleton


def _person(**states):
    """A person with some keypoints and a box far away from them."""
    keypoints = np.zeros((17, 3))
    for name, state in states.items():
        keypoints[KEYPOINTS.index(name)] = state
    return dict(keypoints=keypoints.ravel().tolist(), bbox=[80, 80, 10, 10],
                segmentation=[[80, 80, 90, 80, 90, 90]])


def test_sides_have_their_colors_and_hidden_keypoints_are_rings():
    picture = np.zeros((100, 100, 3), np.uint8)
    draw_skeleton(picture, _person(left_elbow=(20, 20, 2), left_wrist=(
        20, 60, 1), right_hip=(60, 20, 2), left_hip=(40, 20, 2)))
    assert picture[20, 20].tolist() == list(COLORS['left'])
    assert picture[20, 60].tolist() == list(COLORS['right'])
    # limbs of one side, of both, and of a ring only its edge
    assert np.allclose(picture[40, 20], COLORS['left'], atol=30)
    assert np.allclose(picture[20, 50], COLORS['middle'], atol=30)
    assert not picture[61, 21].any() and picture[63, 20].any()
    # nothing of unlabelled keypoints, which are at (0, 0)
    assert not picture[:10, :10].any()


def test_zoom_scales_places():
    picture = np.zeros((200, 200, 3), np.uint8)
    draw_skeleton(picture, _person(nose=(30, 40, 2)), 2)
    rows, columns = np.nonzero(picture[:150, :150].any(axis=-1))
    # the centre of pixel (30, 40) of the small picture
    assert abs(rows.mean() - 81) < 0.6 and abs(columns.mean() - 61) < 0.6


def test_sheet_shows_frames_of_both_splits(tmp_path):
    root = str(tmp_path / 'set')
    build_persons(root, 3)
    path = str(tmp_path / 'out' / 'sheet.png')
    skeleton_sheet(root, path, 2)
    sheet = cv2.imread(path)
    assert sheet.shape == (640, 6 * 640, 3)
    assert sheet[:, :640].std() > 5 and sheet[:, 640:1280].std() > 5
    assert not sheet[:, 1280:].any()
    with pytest.raises(ValueError, match='path must be a picture'):
        skeleton_sheet(root, str(tmp_path / 'sheet.txt'), 2)
    (tmp_path / 'set' / 'val' / '000003.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='000003.jpg does not exist'):
        skeleton_sheet(root, path, 2)


def test_sheet_of_nothing_names_the_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match='holds no annotations'):
        skeleton_sheet(str(tmp_path), 'sheet.png')
