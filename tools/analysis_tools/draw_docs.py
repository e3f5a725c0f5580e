"""Draw the pictures of README and docs.

    python tools/analysis_tools/draw_docs.py tasks docs/tasks.jpg
    python tools/analysis_tools/draw_docs.py photographs docs/photographs.jpg

tasks: a frame of every demo in work_dirs/ (run `make demo TASK=...` for all of
them first), picture, prediction and label below each other. photographs: what
the bundled networks make of two public-domain photographs of scikit-image.
"""
import argparse
import os.path as osp
import re
from glob import glob

import cv2
import numpy as np

import genpercept_mm  # noqa: F401
from genpercept_mm.apis import DenseInferencer, list_models
from genpercept_mm.utils.files import write_bytes
from genpercept_mm.utils.pictures import encode_picture

TASKS = ('depth', 'disparity', 'normal', 'seg', 'colormap', 'dis', 'matting',
         'pose')
PHOTOGRAPHS = ('astronaut.png', 'coffee.png')
HEIGHT, WIDTH, GAP = 96, 128, 4


def fit(picture, height=HEIGHT, width=WIDTH):
    """Scale a picture (H, W, 3) into a white tile."""
    scale = min(height / picture.shape[0], width / picture.shape[1])
    size = (max(round(picture.shape[1] * scale), 1),
            max(round(picture.shape[0] * scale), 1))
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    tile = np.full((height, width, 3), 255, np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    tile[top:top + size[1], left:left + size[0]] = picture
    return tile


def sheet(rows):
    """Put tiles side by side and rows below each other, with gaps."""
    def join(parts, axis):
        shape = list(parts[0].shape)
        shape[axis] = GAP
        gap = np.full(shape, 255, np.uint8)
        joined = [part for tile in parts for part in (gap, tile)][1:]
        return np.concatenate(joined, axis)

    return join([join(row, 1) for row in rows], 0)


def demo_column(task):
    """Read picture, prediction and label of a frame in the middle."""
    files = sorted(glob(f'work_dirs/demo_{task}/pictures/**/*.png',
                        recursive=True))
    if not files:
        raise FileNotFoundError(
            f'work_dirs/demo_{task}/pictures is empty; run '
            f'make demo TASK={task} first.')
    strip = cv2.imread(files[len(files) // 2])
    stem = osp.splitext(osp.basename(files[len(files) // 2]))[0]
    if task in ('pose', 'seg'):
        # the hosts' own visualizers: label and prediction
        label, prediction = np.split(strip, 2, axis=1)
        image = cv2.imread(
            f'data/mini_people/val/{stem}.jpg' if task == 'pose' else
            _preview(stem))
    else:
        # class ids have no error map
        image, prediction, label = np.split(
            strip, strip.shape[1] // WIDTH, axis=1)[:3]
    return [fit(part) for part in (image, prediction, label)]


def _preview(stem):
    """Find the picture that mmseg's hook calls test_SCENE_CAMERA_frNNNN_0."""
    scene, camera, frame = re.fullmatch(
        r'test_(.*)_(cam_\d+)_fr(\d+)_\d+', stem).groups()
    return (f'data/mini_hypersim/{scene}/images/scene_{camera}_final_preview/'
            f'frame.{frame}.tonemap.jpg')


def draw_tasks():
    """Return all demos, one a column, (H, W, 3) BGR."""
    return sheet(list(zip(*map(demo_column, TASKS))))


def draw_photographs():
    """Return photographs and their maps, one a row, (H, W, 3) BGR."""
    import skimage
    folder = osp.join(osp.dirname(skimage.__file__), 'data')
    inferencers = [DenseInferencer(name, device='cpu', show_progress=False)
                   for name in list_models('mini-*')]
    rows = []
    for name in PHOTOGRAPHS:
        path = osp.join(folder, name)
        tiles = [cv2.imread(path)] + [
            inferencer(path, return_picture=True)['picture'][..., ::-1]
            for inferencer in inferencers]
        rows.append([fit(tile, 2 * HEIGHT, 2 * WIDTH) for tile in tiles])
    return sheet(rows)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=['tasks', 'photographs'])
    parser.add_argument('out', help='picture to write')
    args = parser.parse_args()
    picture = dict(tasks=draw_tasks, photographs=draw_photographs)[args.what]()
    write_bytes(args.out, encode_picture(
        picture[..., ::-1], osp.splitext(args.out)[1]))
    print(args.out)


if __name__ == '__main__':
    main()
