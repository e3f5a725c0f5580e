"""What an inferencer takes: files, folders, addresses, arrays and videos."""
import glob
import logging
import os
import os.path as osp
import urllib.request
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Callable, Optional
from urllib.parse import unquote, urlsplit

import cv2
import mmcv
import numpy as np
from mmengine.logging import print_log

from genpercept_mm.datasets.io.file_listing import IMAGE_SUFFIXES, walk_files
from genpercept_mm.utils.files import printable

VIDEO_SUFFIXES = ('.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.mpg',
                  '.mpeg', '.wmv')
SECONDS = 60


@dataclass
class Item:
    """One image to predict on.

    Attributes:
        name (str): Name of its output files, with sub-folders and without
            suffix.
        path (str | None): File or address, if there is one.
        read (Callable): Returns the image, (H, W, 3) uint8 BGR.
        video (str | None): The video that it is a frame of.
        frame (int): Its number in the video.
        fps (float): Frames a second of the video.
    """
    name: str
    path: Optional[str]
    read: Callable
    video: Optional[str] = None
    frame: int = 0
    fps: float = 25.


class Inputs:
    """Turn whatever a user gives into items, one after another.

    Args:
        inputs: A path, a folder (with sub-folders), a glob pattern, the
            address of an image, a video file, an image as an array, tensor
            or PIL image, or a list or generator of these.

            - Arrays are (H, W), (H, W, 3) or (H, W, 4) in ``channel_order``,
              or several of these in one array (N, H, W, 3).
            - Tensors are (3, H, W) or (N, 3, H, W) RGB.
            - Both are uint8 in 0..255, uint16 in 0..65535 or float in [0, 1].
        channel_order (str): ``'bgr'``, as mmcv and OpenCV read files, or
            ``'rgb'``; only arrays can have either. Defaults to 'bgr'.

    Attributes:
        total (int | None): Number of items, where it is known beforehand.

    Raises:
        FileNotFoundError: If there is no such file or folder, or it contains
            no image.
        TypeError: If something else is given.
    """

    def __init__(self, inputs, channel_order='bgr'):
        self.channel_order = channel_order
        self._names, self._images = set(), 0
        if isinstance(inputs, (list, tuple)):
            parts = [self._expand(part) for part in inputs]
            known = all(isinstance(part, list) for part in parts)
            self.total = sum(map(len, parts)) if known else None
        elif isinstance(inputs, Iterable) and not _is_one(inputs):
            parts, self.total = map(self._expand, inputs), None
        else:
            parts = [self._expand(inputs)]
            self.total = len(parts[0]) if isinstance(parts[0], list) else None
        self._parts = parts

    def __iter__(self):
        for part in self._parts:
            for item in part:
                item.name = self._own(item)
                yield item

    def _own(self, item):
        """Number names that were there before."""
        if item.video is not None:
            return item.name
        name, count = item.name, 1
        while name in self._names:
            count += 1
            name = f'{item.name}-{count}'
        self._names.add(name)
        return name

    def _expand(self, value):
        if isinstance(value, (str, os.PathLike)):
            return self._expand_path(os.fspath(value))
        return [self._of_image(image) for image in _split(value)]

    def _expand_path(self, path):
        if urlsplit(path).scheme in ('http', 'https'):
            name = osp.basename(unquote(urlsplit(path).path)) or 'image'
            return [Item(osp.splitext(name)[0], path, lambda: _download(path))]
        if osp.isdir(path):
            return _list_folder(path)
        if osp.isfile(path):
            return self._of_file(path)
        if glob.has_magic(path):
            found = [name for name in sorted(glob.glob(path, recursive=True))
                     if osp.isfile(name) and _has(name, IMAGE_SUFFIXES)]
            if not found:
                raise FileNotFoundError(f'no image matches {path!r}.')
            return _items(found, osp.commonpath(
                [osp.dirname(osp.abspath(name)) for name in found]))
        raise FileNotFoundError(f'{printable(path)} does not exist.')

    def _of_file(self, path):
        if _has(path, VIDEO_SUFFIXES):
            return _frames(path)
        return _items([path], osp.dirname(osp.abspath(path)))

    def _of_image(self, image):
        order = self.channel_order
        number, self._images = self._images, self._images + 1
        return Item(f'image_{number:06}', None,
                    lambda: to_bgr(image, order))


def _is_one(value):
    """Tell one input from an iterable of them."""
    return isinstance(value, (str, os.PathLike, np.ndarray)) or (
        hasattr(value, 'convert') or hasattr(value, 'detach'))


def _split(value):
    """Split a batch of images into single ones."""
    if not _is_one(value):
        raise TypeError('inputs must be paths, arrays, tensors or PIL images, '
                        f'got {type(value).__name__}.')
    if getattr(value, 'ndim', 3) == 4:
        return list(value)
    return [value]


def _has(path, suffixes):
    return path.lower().endswith(suffixes)


def _list_folder(folder):
    names = walk_files(folder)
    found = [name for name in names if _has(name, IMAGE_SUFFIXES)]
    if not found:
        raise FileNotFoundError(
            f'{printable(folder)} contains no image with one of the suffixes '
            f'{IMAGE_SUFFIXES}.')
    others = len(names) - len(found)
    if others:
        print_log(
            f'{printable(folder)}: leaves out {others} files that are not '
            'images, such as ' + printable(next(
                name for name in names if name not in set(found))),
            logger='current', level=logging.WARNING)
    return _items([osp.join(folder, name) for name in found], folder)


def _items(paths, root):
    """Name files by their paths below a folder; where two differ in nothing
    but the suffix, it becomes part of the name."""
    inside = [osp.relpath(path, root) for path in paths]
    stems = Counter(osp.splitext(name)[0] for name in inside)
    return [
        Item(name if stems[osp.splitext(name)[0]] > 1 else
             osp.splitext(name)[0], path, lambda path=path: read_image(path))
        for name, path in zip(inside, paths)]


def read_image(path):
    """Read an image file of any format as (H, W, 3) uint8 BGR, turned as its
    EXIF tag asks. Raises an OSError that names the file."""
    try:
        with open(path, 'rb') as file:
            content = file.read()
    except OSError as error:
        raise OSError(f'{printable(path)} cannot be read '
                      f'({error.strerror}).') from error
    return _decode(content, printable(path))


def _decode(content, path):
    try:
        image = mmcv.imfrombytes(content) if content else None
    except (OSError, ValueError, SyntaxError, cv2.error) as error:
        raise OSError(f'{path} cannot be read as an image ({error}).'
                      ) from error
    if image is None:
        raise OSError(f'{path} cannot be read as an image; it is empty, cut '
                      'off or of an unknown format.')
    return image


def _download(address):
    request = urllib.request.Request(
        address, headers={'User-Agent': 'genpercept_mm'})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            content = answer.read()
    except OSError as error:
        raise OSError(f'{address} cannot be downloaded ({error}).') from error
    return _decode(content, address)


def _frames(path):
    """Yield the frames of a video."""
    video = cv2.VideoCapture(path)
    try:
        if not video.isOpened():
            raise OSError(f'{printable(path)} cannot be read as a video.')
        stem, number = osp.splitext(osp.basename(path))[0], 0
        fps = video.get(cv2.CAP_PROP_FPS) or Item.fps
        while True:
            done, image = video.read()
            if not done:
                break
            yield Item(f'{stem}/{number:06}', path, lambda image=image: image,
                       path, number, fps)
            number += 1
        if number == 0:
            raise OSError(f'{printable(path)} has no frame that OpenCV can '
                          'decode.')
    finally:
        video.release()


def to_bgr(image, channel_order='bgr'):
    """Turn an image in memory into (H, W, 3) uint8 BGR.

    For what it may be, see `Inputs`. Raises a ValueError for other shapes,
    types or values.
    """
    order = channel_order
    if hasattr(image, 'convert'):
        image, order = _from_pil(image), 'rgb'
    elif hasattr(image, 'detach'):
        image = image.detach().cpu().numpy()
        if image.ndim == 3 and image.shape[0] in (1, 3):
            image = image.transpose(1, 2, 0)
        elif image.ndim != 2:
            raise ValueError('a tensor must be (3, H, W), or (N, 3, H, W), '
                             f'got {image.shape}.')
        order = 'rgb'
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or 0 in image.shape:
        raise ValueError('an image must be (H, W), (H, W, 3) or (H, W, 4), '
                         f'got {image.shape}.')
    image = _to_uint8(image)
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    image = image[..., :3]
    return np.ascontiguousarray(image[..., ::-1] if order == 'rgb' else image)


def _from_pil(image):
    from PIL import ImageOps
    image = ImageOps.exif_transpose(image)
    if image.mode[0] in 'IF':
        return np.asarray(image)
    return np.asarray(image.convert('RGB'))


def _to_uint8(image):
    if image.dtype == np.uint8:
        return image
    if image.dtype == bool:
        return image.astype(np.uint8) * 255
    if image.dtype == np.uint16:
        return np.round(image / 257.).astype(np.uint8)
    if image.dtype.kind == 'f' and image.size and (
            0 <= image.min() <= image.max() <= 1):
        return np.round(image * 255.).astype(np.uint8)
    raise ValueError(
        'an image must be uint8, uint16 or float in [0, 1], got '
        f'{image.dtype} from {image.min():g} to {image.max():g}; convert it.')
