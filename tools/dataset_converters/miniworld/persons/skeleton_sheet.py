"""Contact sheets of people with their keypoints."""
import json
import os.path as osp

import cv2
import numpy as np

from .coco_set import PARAMETERS_JSON, SPLITS, annotation_path
from .scenes import LONG
from .skeleton import KEYPOINTS, LIMBS
from ..sheets import arrange, pick_evenly, read_tile, write_sheet

#: BGR colours of the person's left, the person's right and the rest.
COLORS = dict(left=(60, 60, 255), right=(80, 220, 80), middle=(255, 160, 40))

_ZOOM = 2
_PER_ROW = 6


def skeleton_sheet(out_dir, path, max_frames=24):
    """Draw frames with boxes, outlines and skeletons.

    The person's left limbs are red, the right ones green and all others
    blue. A visible keypoint is a disc, a hidden one a ring.

    Args:
        out_dir (str): Folder of a finished data set.
        path (str): Picture to write, for example ``sheet.png``.
        max_frames (int): Number of frames to show, half of them from each
            split, evenly spaced.
            Defaults to 24.

    Raises:
        FileNotFoundError: If the folder has no data set, or a frame is
            missing.
        ValueError: If the picture cannot be written.
    """
    if not osp.isfile(annotation_path(out_dir, SPLITS[-1])):
        raise FileNotFoundError(
            f'skeleton_sheet: {out_dir} holds no annotations of a set with '
            f'a {PARAMETERS_JSON}; build a data set first.')
    tiles = []
    for split in SPLITS:
        with open(annotation_path(out_dir, split)) as file:
            content = json.load(file)
        for image in pick_evenly(content['images'], max(max_frames // 2, 1)):
            tiles.append(_tile(osp.join(out_dir, split, image['file_name']), [
                person for person in content['annotations']
                if person['image_id'] == image['id']]))
    write_sheet('skeleton_sheet', path, arrange(tiles, _PER_ROW))


def draw_skeleton(picture, person, zoom=1):
    """Draw a person's outline, box and keypoints, in place.

    Args:
        picture (np.ndarray): (H, W, 3) uint8, BGR.
        person (dict): COCO annotation.
        zoom (int): Size of an annotated pixel in the picture.
            Defaults to 1.
    """
    for polygon in person['segmentation']:
        outline = zoom * np.array(polygon).reshape(-1, 2)
        cv2.polylines(picture, [outline.astype(np.int32)], True,
                      (255, 255, 255), 1)
    x, y, width, height = (int(zoom * k) for k in person['bbox'])
    cv2.rectangle(picture, (x, y), (x + width, y + height), (0, 220, 220), 1)
    states = np.array(person['keypoints']).reshape(-1, 3)
    places = [tuple(int(zoom * (k + 0.5)) for k in state[:2])
              for state in states]
    for one, two in LIMBS:
        if states[one - 1, 2] and states[two - 1, 2]:
            names = KEYPOINTS[one - 1], KEYPOINTS[two - 1]
            cv2.line(picture, places[one - 1], places[two - 1],
                     COLORS[_side(*names)], 1, cv2.LINE_AA)
    for name, place, (_, _, state) in zip(KEYPOINTS, places, states):
        if state:
            cv2.circle(picture, place, 3, COLORS[_side(name)],
                       -1 if state == 2 else 1, cv2.LINE_AA)


def _side(*names):
    """Return the side that all keypoints share, or 'middle'."""
    sides = {name.split('_')[0] for name in names} - {'nose'}
    return sides.pop() if len(sides) == 1 else 'middle'


def _tile(path, people):
    """Return (2 LONG, 2 LONG, 3) uint8 BGR: a frame with its people."""
    picture = cv2.resize(read_tile('skeleton_sheet', path), None, fx=_ZOOM,
                         fy=_ZOOM)
    for person in people:
        draw_skeleton(picture, person, _ZOOM)
    tile = np.zeros((_ZOOM * LONG, _ZOOM * LONG, 3), np.uint8)
    tile[:picture.shape[0], :picture.shape[1]] = picture
    return tile
