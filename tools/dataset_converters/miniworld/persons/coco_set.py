"""Write a data set of drawn people in the layout of COCO keypoints.

Under the target folder::

    {train,val}/000001.jpg
    annotations/person_keypoints_{train,val}.json
    person_detection_results/val_detections.json
    mini_people.json                     the parameters, for later calls
"""
import os.path as osp

import numpy as np
from mmengine.logging import print_log

from .outlines import mask_box, mask_polygons
from .scenes import make_shot
from .skeleton import KEYPOINTS, LIMBS
from ..building import (
    check_numbers,
    claim_folder,
    incomplete,
    report_finished,
    tracked,
    write_jpeg,
    write_json,
)

PARAMETERS_JSON = 'mini_people.json'
SPLITS = ('train', 'val')
DETECTIONS_JSON = osp.join('person_detection_results',
                           'val_detections.json')

#: Version of the recipe; counts up whenever the same parameters would give
#: other pictures or labels.
RECIPE = 2

CATEGORY = dict(id=1, name='person', supercategory='person',
                keypoints=list(KEYPOINTS),
                skeleton=[list(limb) for limb in LIMBS])

TITLE = 'mini people'

_VAL_SHARE = 1 / 6
_QUALITY = 92


def annotation_path(root, split):
    """Name the file of a split's annotations.

    Args:
        root (str): Folder of the set.
        split (str): ``'train'`` or ``'val'``.

    Returns:
        str: Path, whether or not it exists.
    """
    return osp.join(root, 'annotations', f'person_keypoints_{split}.json')


def picture_path(root, split, number):
    """Name the file of a picture.

    Args:
        root (str): Folder of the set.
        split (str): ``'train'`` or ``'val'``.
        number (int): Id of the picture.

    Returns:
        str: Path, whether or not it exists.
    """
    return osp.join(root, split, f'{number:06d}.jpg')


def plan_pictures(num_frames):
    """Distribute the pictures over the splits.

    Args:
        num_frames (int): Pictures of the whole set, at least 2.

    Returns:
        dict[str, range]: The picture ids of each split. They start at 1 and
        have no gaps; one picture in six is for validation.
    """
    val = max(round(_VAL_SHARE * num_frames), 1)
    return dict(train=range(1, num_frames - val + 1),
                val=range(num_frames - val + 1, num_frames + 1))


def build_persons(out_dir, num_frames=600, seed=0):
    """Draw a data set, unless the folder holds it already.

    Each picture depends only on the seed, its split and its id. An
    interrupted set is drawn again from the start, with the same bytes; the
    annotations are written last.

    Args:
        out_dir (str): Target folder; created if missing.
        num_frames (int): Number of pictures in both splits together.
            Defaults to 600.
        seed (int): A different seed gives different people. Defaults to 0.

    Returns:
        int: Number of pictures drawn by this call.

    Raises:
        ValueError: If an argument is out of range, or the folder holds a
            set that was made with other parameters, or another data set.
    """
    parameters = dict(recipe=RECIPE, num_frames=num_frames, seed=seed)
    check_numbers('build_persons', parameters, num_frames=2, seed=0)
    claim_folder('build_persons', out_dir, PARAMETERS_JSON, parameters,
                 (*SPLITS, 'annotations'), indent=None)
    plan = plan_pictures(num_frames)
    todo = [(split, number) for split in SPLITS for number in plan[split]]
    annotations = [osp.join(out_dir, DETECTIONS_JSON),
                   *(annotation_path(out_dir, split) for split in SPLITS)]
    if all(map(osp.isfile, annotations)) and not incomplete(
            todo, lambda frame: [picture_path(out_dir, *frame)]):
        report_finished(TITLE, out_dir, num_frames)
        return 0
    first = 1
    contents = {split: dict(
        info=dict(description='mini people, drawn', version=str(RECIPE)),
        licenses=[], images=[], annotations=[], categories=[CATEGORY])
        for split in SPLITS}
    for split, number in tracked(todo, TITLE):
        shot = make_shot(np.random.default_rng(
            [seed, SPLITS.index(split), number]))
        path = picture_path(out_dir, split, number)
        write_jpeg(path, shot.picture, _QUALITY)
        height, width = shot.picture.shape[:2]
        contents[split]['images'].append(dict(
            id=number, file_name=osp.basename(path), height=height,
            width=width))
        people = annotate(shot, number, first)
        first += len(people)
        contents[split]['annotations'] += people
    write_json(osp.join(out_dir, DETECTIONS_JSON),
                detect(contents['val'], seed))
    for split in SPLITS:
        write_json(annotation_path(out_dir, split), contents[split])
    print_log(f'{TITLE}: drew {num_frames} frames with {first - 1} '
              f'people into {out_dir}.')
    return num_frames


def annotate(shot, image_id, first_id):
    """Describe the people in a picture.

    Args:
        shot (Shot): Picture and labels.
        image_id (int): Id of the picture.
        first_id (int): Id of the first person; the others follow.

    Returns:
        list[dict]: COCO annotations. ``bbox`` and ``area`` cover the visible
        pixels only.
    """
    return [dict(
        id=first_id + index, image_id=image_id, category_id=CATEGORY['id'],
        iscrowd=0, bbox=mask_box(mask), area=int(mask.sum()),
        segmentation=mask_polygons(mask),
        keypoints=[number for x, y, v in states.tolist()
                   for number in (round(x, 2), round(y, 2), int(v))],
        num_keypoints=int((states[:, 2] > 0).sum()))
        for index, (mask, states) in enumerate(zip(shot.masks,
                                                   shot.keypoints))]


def detect(content, seed):
    """Imitate a detector: boxes near the true ones, and some false ones.

    Args:
        content (dict): COCO annotations.
        seed (int): Seed of the errors.

    Returns:
        list[dict]: COCO detection results. The standard deviation is 3 % of
        the size for centres and 5 % for sizes. Scores are 0.7 to 1. For
        every ten people there is about one false box, with a score of 0.05
        to 0.4.
    """
    rng = np.random.default_rng([seed, len(SPLITS)])
    sizes = {image['id']: (image['width'], image['height'])
             for image in content['images']}
    results = []
    for person in content['annotations']:
        x, y, width, height = person['bbox']
        size = np.array([width, height])
        center = (x, y) + size / 2 + size * rng.normal(0, 0.03, 2)
        size = size * np.exp(rng.normal(0, 0.05, 2))
        image = person['image_id']
        results.append(_detection(image, center, size, sizes[image],
                                  rng.uniform(0.7, 1)))
        if rng.random() < 0.1:
            image = content['images'][
                rng.integers(len(content['images']))]['id']
            size = sizes[image] * rng.uniform(0.15, 0.6, 2)
            results.append(_detection(
                image, sizes[image] * rng.uniform(0.1, 0.9, 2), size,
                sizes[image], rng.uniform(0.05, 0.4)))
    return results


def _detection(image, center, size, limit, score):
    """Return one detection result, clipped to the picture."""
    low = np.clip(center - size / 2, 0, limit)
    high = np.clip(center + size / 2, 0, limit)
    return dict(image_id=image, category_id=CATEGORY['id'],
                bbox=[round(float(k), 2) for k in (*low, *(high - low))],
                score=round(float(score), 4))
