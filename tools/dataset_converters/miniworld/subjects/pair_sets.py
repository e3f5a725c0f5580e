"""Write data sets of photographed subjects in two layouts.

Each is a folder under the target folder::

    P3M-10k/                             kind 'matting'
      train/{blurred_image,mask}/
      validation/P3M-500-P/{blurred_image,mask}/
      validation/P3M-500-NP/{original_image,mask}/
    DIS5K/                               kind 'dis'
      {DIS-TR,DIS-VD,DIS-TE1,...,DIS-TE4}/{im,gt}/

Pictures are JPEG, labels 8-bit grey PNG files of the same name.
"""
import os.path as osp
from collections import namedtuple
from dataclasses import replace

import numpy as np
from mmengine.logging import print_log

from genpercept_mm.utils.pictures import write_png

from .parts import Subject
from .portraits import PORTRAITS, foliage, person, toy
from .shots import portrait_shot, structure_shot
from .structures import STRUCTURES
from ..building import (
    check_numbers,
    claim_folder,
    incomplete,
    report_finished,
    tracked,
    write_jpeg,
)
from ..rooms.furnishing import make_room

PARAMETERS_JSON = 'mini_objects.json'

#: Version of the recipe; counts up whenever the same parameters would give
#: other subjects or pictures.
RECIPE = 3

#: What pictures of DIS5K without a level of detail show besides structures.
SOLIDS = (person, toy, foliage)

#: A folder of pictures: its path, its sub-folders, its share of the frames and
#: the level of detail of its subjects (None for all levels).
Split = namedtuple('Split', 'folder images labels share detail')

_P3M = 'P3M-10k'
_DIS = 'DIS5K'
#: The splits of each kind; the first is for training.
SPLITS = dict(
    matting=(
        Split('train', 'blurred_image', 'mask', 0.7, None),
        Split('validation/P3M-500-P', 'blurred_image', 'mask', 0.15, None),
        Split('validation/P3M-500-NP', 'original_image', 'mask', 0.15,
              None)),
    dis=(
        Split('DIS-TR', 'im', 'gt', 0.7, None),
        Split('DIS-VD', 'im', 'gt', 0.1, None),
        *(Split(f'DIS-TE{level}', 'im', 'gt', 0.05, level)
          for level in (1, 2, 3, 4))))
ROOTS = dict(matting=_P3M, dis=_DIS)

# mini-Hypersim uses the rooms from 0 on; the four kinds of rooms alternate
_FIRST_ROOM = dict(matting=100000, dis=200000)
_TITLE = 'mini objects'
# a sample of a label costs only one ray
_LABEL_SAMPLES = 4

PlannedFrame = namedtuple(
    'PlannedFrame', 'image label number room view subject detail')


def split_frames(kind, num_frames):
    """Distribute frames over the splits of a data set.

    Args:
        kind (str): ``'matting'`` or ``'dis'``.
        num_frames (int): Number of frames of the whole set.

    Returns:
        list[int]: Number of frames of each of ``SPLITS[kind]``, at least one;
        those that are not for validation or test are for training.

    Raises:
        ValueError: If there are fewer frames than splits.
    """
    splits = SPLITS[kind]
    if num_frames < len(splits):
        raise ValueError(
            f'build_subjects: num_frames must be at least {len(splits)}, '
            f'one per split of {kind!r}, got {num_frames}; raise it.')
    rest = [max(round(s.share * num_frames), 1) for s in splits[1:]]
    # in tiny sets every split gets one frame before training gets more
    if sum(rest) >= num_frames:
        rest = [1] * len(rest)
    return [num_frames - sum(rest), *rest]


def plan_frames(kind, num_frames, seed, frames_per_room):
    """List the frames of a data set.

    Args:
        kind (str): ``'matting'`` or ``'dis'``.
        num_frames (int): Total number of frames.
        seed (int): Seed of the choice of subjects.
        frames_per_room (int): Number of views of each room; no room is in two
            splits.

    Returns:
        list[PlannedFrame]: Paths of image and label below the folder of the
        data set, frame number, room number, view of the room, index of the
        builder of the subject and its level of detail.
    """
    rng = np.random.default_rng([seed, _FIRST_ROOM[kind]])
    frames = []
    room = _FIRST_ROOM[kind]
    for split, count in zip(SPLITS[kind],
                            split_frames(kind, num_frames)):
        # all levels of detail show the same kinds of subjects
        subjects = _draw_subjects(kind, np.random.default_rng(
            seed) if split.detail else rng, count, split.detail)
        for place, subject in enumerate(subjects):
            number = len(frames)
            if place and place % frames_per_room == 0:
                room += 1
            detail = split.detail or int(rng.integers(1, 5))
            if kind == 'matting':
                name = f'p_{number:08x}'
            else:
                title = (STRUCTURES + SOLIDS)[subject].__name__.title()
                name = f'1#Object#{subject + 1}#{title}#{number:04d}'
            frames.append(PlannedFrame(
                f'{split.folder}/{split.images}/{name}.jpg',
                f'{split.folder}/{split.labels}/{name}.png', number, room,
                place % frames_per_room, int(subject), detail))
        room += 1
    return frames


def _draw_subjects(kind, rng, count, detail):
    """Choose the builder of each frame of a split; (count,) indices."""
    if kind == 'matting':
        return rng.choice(len(PORTRAITS), count,
                          p=[weight for _, weight in PORTRAITS])
    if detail:
        return _rounds(rng, len(STRUCTURES), count)
    # three of four are solid: thin structures alone cover hardly any area
    subjects = len(STRUCTURES) + _rounds(rng, len(SOLIDS), count)
    subjects[::4] = _rounds(rng, len(STRUCTURES), len(subjects[::4]))
    return subjects


def _rounds(rng, kinds, count):
    """Choose each kind once before any is repeated."""
    rounds = max(-(-count // kinds), 1)
    return np.concatenate(
        [rng.permutation(kinds) for _ in range(rounds)])[:count]


def compose_shot(kind, frame, room, seed, aspect):
    """Build and place the subject of a frame.

    Args:
        kind (str): ``'matting'`` or ``'dis'``.
        frame (PlannedFrame): The frame.
        room (Room): The room of the frame.
        seed (int): Seed of the data set.
        aspect (float): Width of the picture over its height.

    Returns:
        Shot: It depends only on the arguments.
    """
    rng = np.random.default_rng([seed, _FIRST_ROOM[kind], frame.number])
    if kind == 'matting':
        subject = PORTRAITS[frame.subject][0](rng)
        return portrait_shot(room, frame.view, subject, rng, aspect)
    if frame.subject >= len(STRUCTURES):
        subject = SOLIDS[frame.subject - len(STRUCTURES)](rng)
        shot = portrait_shot(room, frame.view, subject, rng, aspect)
        # objects with masks are in focus
        return replace(shot, aperture=0.0, slide=np.zeros(3))
    item = STRUCTURES[frame.subject](rng, frame.detail)
    return structure_shot(room, Subject(item, *item.bounds()), rng, aspect)


def build_subjects(out_dir,
                       kind='all',
                       num_frames=100,
                       width=128,
                       height=96,
                       spp=12,
                       seed=0,
                       frames_per_room=4):
    """Render data sets, or finish ones that were interrupted.

    Frames whose two files exist are kept. Splits share neither rooms nor
    subjects.

    Args:
        out_dir (str): Target folder; created if missing.
        kind (str): ``'matting'`` makes ``P3M-10k``, ``'dis'`` makes
            ``DIS5K``, ``'all'`` makes both. Defaults to 'all'.
        num_frames (int): Number of frames of each kind. Defaults to 100.
        width (int): Width of the picture in pixels. Defaults to 128.
        height (int): Height of the picture in pixels. Defaults to 96.
        spp (int): Samples per pixel of the pictures; labels get four times
            as many. Defaults to 12.
        seed (int): A different seed gives different rooms and subjects.
            Defaults to 0.
        frames_per_room (int): Number of views of each room. Defaults to 4.

    Returns:
        int: Number of frames rendered by this call.

    Raises:
        ImportError: If frames are missing and Mitsuba is not installed.
        ValueError: If an argument is out of range, or the folder holds a
            data set that was made with other parameters, or another data set.
    """
    kinds = tuple(SPLITS) if kind == 'all' else (kind,)
    if kind not in ('all', *SPLITS):
        raise ValueError(
            f"build_subjects: kind must be 'all', 'matting' or 'dis', "
            f'got {kind!r}; change the argument.')
    parameters = dict(recipe=RECIPE, num_frames=num_frames, width=width,
                      height=height, spp=spp, seed=seed,
                      frames_per_room=frames_per_room)
    check_numbers('build_subjects', parameters, seed=0)
    plans = {each: plan_frames(each, num_frames, seed, frames_per_room)
             for each in kinds}
    for each in kinds:
        claim_folder('build_subjects', osp.join(out_dir, ROOTS[each]),
                     PARAMETERS_JSON, parameters,
                     [split.folder for split in SPLITS[each]])
    return sum(_build_kind(osp.join(out_dir, ROOTS[each]), each, plans[each],
                           parameters) for each in kinds)


def _build_kind(root, kind, frames, parameters):
    """Render the missing frames of one data set; returns their number."""
    missing = incomplete(frames, lambda frame: [
        osp.join(root, path) for path in (frame.image, frame.label)])
    if not missing:
        report_finished(_TITLE, root, len(frames))
        return 0
    room, current, shapes = None, None, {}
    for frame in tracked(missing, f'{_TITLE}: {osp.basename(root)}'):
        if frame.room != current:
            current, shapes = frame.room, {}
            room = make_room(parameters['seed'], current,
                             parameters['frames_per_room'])
        _render_frame(root, kind, frame, room, parameters, shapes)
    print_log(f'{_TITLE}: rendered {len(missing)} of {len(frames)} '
              f'frames into {root}.')
    return len(missing)


def _render_frame(root, kind, frame, room, parameters, shapes):
    """Render and write one picture and its label."""
    # imported here so that a finished set needs no Mitsuba
    from .photograph import develop, render_alpha, render_color
    size = parameters['width'], parameters['height']
    shot = compose_shot(kind, frame, room, parameters['seed'],
                        size[0] / size[1])
    noise = np.random.SeedSequence(
        [parameters['seed'], _FIRST_ROOM[kind], frame.number])
    seeds = [int(s) for s in noise.generate_state(2)]
    alpha = render_alpha(shot, *size, _LABEL_SAMPLES * parameters['spp'],
                         seeds[0])
    picture = develop(render_color(shot, *size, parameters['spp'], seeds[1],
                                   shapes))
    write_png(osp.join(root, frame.label),
              np.round(alpha * 255).astype(np.uint8))
    write_jpeg(osp.join(root, frame.image), picture, 96)
