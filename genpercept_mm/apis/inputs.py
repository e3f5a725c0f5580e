"""What an inferencer takes: files, folders, addresses, arrays and videos."""
import glob
import logging
import os
import os.path as osp
import urllib.request
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPException
from typing import Callable, Optional
from urllib.parse import quote, unquote, urlsplit

import cv2
import mmcv
import numpy as np
import torch
from mmengine.logging import print_log

from genpercept_mm.datasets.io.file_listing import IMAGE_SUFFIXES, walk_files
from genpercept_mm.utils.arguments import check_choice
from genpercept_mm.utils.files import printable

VIDEO_SUFFIXES = ('.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.mpg',
                  '.mpeg', '.wmv', '.flv', '.3gp', '.ogv', '.mts', '.m2ts')
SUFFIXES = IMAGE_SUFFIXES + VIDEO_SUFFIXES
SECONDS = 60
# How far floats may be outside of [0, 1]
SLACK = 1e-2
# Frames that a video may lack of those it announces, which some files guess
LACKING, LACKING_SHARE = 2, .02


@dataclass
class Item:
    """One image to predict on.

    Attributes:
        name (str): Name of its output files, with sub-folders and without
            suffix; no two inputs have the same.
        path (str | None): File or address, if there is one.
        read (Callable): Returns the image, (H, W, 3) uint8 BGR.
        video (str | None): The video that it is a frame of.
        frame (int): Its number in the video.
        fps (float): Frames a second of the video.
        late (bool): Whether ``read`` raises for what came before, which is
            good as far as it goes.
        stem (str): The name before it was changed because another input had
            it already.
    """
    name: str
    path: Optional[str]
    read: Callable
    video: Optional[str] = None
    frame: int = 0
    fps: float = 25.
    late: bool = False

    def __post_init__(self):
        self.stem = self.name


class Names:
    """Names of outputs that belong to one input each, over several calls.

    Attributes:
        images (int): Number of images in memory so far.
    """

    def __init__(self):
        self.images = 0
        self._before, self._now = {}, {}
        # folders of frames, and of images that are called like frames
        self._videos, self._numbered = set(), set()

    def start(self):
        """Begin a call: the same file may have its name again."""
        self._before.update(self._now)
        self._now = {}

    def claim(self, name, path, is_video=False):
        """Return a name, numbered if it is another input's, or if a frame of a
        video has it, whose frames are called ``<name>/000000`` and so on."""
        if path is not None and not _is_address(path):
            path = osp.realpath(path)
        folder, _, last = name.rpartition('/')
        like_a_frame = not is_video and last.isdigit()

        def is_free(own):
            if own in self._now or self._before.get(own, path) != path:
                return False
            if is_video:
                return own not in self._numbered
            return not (like_a_frame and own == name
                        and folder in self._videos)

        own, count = name, 1
        while not is_free(own):
            count += 1
            own = f'{name}-{count}'
        self._now[own] = path
        if is_video:
            self._videos.add(own)
        elif like_a_frame and own == name:
            self._numbered.add(folder)
        return own


class Inputs:
    """Turn whatever a user gives into items, one after another.

    Args:
        inputs: A path, a folder (with sub-folders), a glob pattern, the
            address of an image, a video file, an image as an array, tensor
            or PIL image, or a list or generator of these.

            - Arrays are (H, W), (H, W, 3) or (H, W, 4) in ``channel_order``,
              or several of these in one array (N, H, W, 3).
            - Tensors are (3, H, W), (4, H, W) or (N, 3, H, W) RGB.
            - Both are integers in 0..255, uint16 in 0..65535 or float in
              [0, 1]. A fourth channel is left out.
        channel_order (str): ``'bgr'``, as mmcv and OpenCV read files, or
            ``'rgb'``; only arrays can have either. Defaults to 'bgr'.
        names (Names, optional): Those of earlier calls.
        exclude (str, optional): A folder to leave out where it lies inside of
            ``inputs``, the one of the outputs.
        skip_errors (bool): Whether paths that do not exist become items that
            cannot be read. Defaults to False.

    Attributes:
        single (bool): Whether it is one image, not a folder, pattern, video
            or batch, even of one.
        total (int | None): Number of items, where it is known beforehand.

    Raises:
        FileNotFoundError: If there is no such file or folder, or it contains
            no image.
        TypeError: If something else is given.
        ValueError: If ``exclude`` is the folder of the inputs itself, or
            ``channel_order`` is another one.
    """

    def __init__(self, inputs, channel_order='bgr', names=None, exclude=None,
                 skip_errors=False):
        check_choice('Inputs', 'channel_order', channel_order, ('bgr', 'rgb'))
        self.channel_order = channel_order
        self._skip_errors = skip_errors
        self._names = Names() if names is None else names
        self._names.start()
        self._exclude = exclude
        self.single = False
        if isinstance(inputs, (list, tuple)):
            # of a single one, the error is all there is
            self._skip_errors &= len(inputs) > 1
            parts = [self._expand_part(part) for part in inputs]
            known = all(isinstance(part, list) for part in parts)
            self.total = sum(map(len, parts)) if known else None
        elif isinstance(inputs, Iterable) and not _is_one(inputs):
            parts, self.total = map(self._expand_part, inputs), None
        else:
            parts = [self._expand(inputs)]
            self.total = len(parts[0]) if isinstance(parts[0], list) else None
            self.single = self.total == 1 and (
                osp.isfile(inputs) or _is_address(inputs)
                if isinstance(inputs, (str, os.PathLike))
                else getattr(inputs, 'ndim', 3) != 4)
        self._parts = parts

    def __iter__(self):
        videos = {}
        for part in self._parts:
            videos.clear()
            for item in part:
                if item.video is None:
                    item.name = self._names.claim(item.stem, item.path)
                else:
                    stem = item.stem.rpartition('/')[0]
                    if item.video not in videos:
                        videos[item.video] = self._names.claim(
                            stem, item.video, is_video=True)
                    item.name = videos[item.video] + item.stem[len(stem):]
                yield item

    def _expand_part(self, value):
        """Expand one of several inputs."""
        try:
            return self._expand(value)
        except (OSError, TypeError) as error:
            if not self._skip_errors:
                raise
            return [_unreadable(error, value)]

    def _expand(self, value):
        if isinstance(value, (str, os.PathLike)):
            return self._expand_path(os.fspath(value))
        return [self._of_image(image) for image in _split(value)]

    def _expand_path(self, path):
        if _is_address(path):
            name = osp.basename(unquote(urlsplit(path).path)) or 'image'
            return [Item(osp.splitext(name)[0], path, lambda: _download(path))]
        if osp.isdir(path):
            return self._list_folder(path)
        if osp.isfile(path):
            return _items([path], osp.dirname(osp.abspath(path)))
        if glob.has_magic(path):
            found = [name for name in sorted(glob.glob(path, recursive=True))
                     if osp.isfile(name) and _has(name, SUFFIXES)]
            found = self._without_outputs(found, path)
            if not found:
                raise FileNotFoundError(
                    f'no image and no video matches {path!r}.')
            return _items(found, osp.commonpath(
                [osp.dirname(osp.abspath(name)) for name in found]))
        raise FileNotFoundError(f'{printable(path)} does not exist.')

    def _list_folder(self, folder):
        names = walk_files(folder)
        found = [name for name in names if _has(name, SUFFIXES)]
        others = len(names) - len(found)
        if others:
            print_log(
                f'{printable(folder)}: leaves out {others} files that are '
                'neither images nor videos, such as ' + printable(next(
                    name for name in names if name not in set(found))),
                logger='current', level=logging.WARNING)
        found = self._without_outputs(
            [osp.join(folder, name) for name in found], folder)
        if not found:
            raise FileNotFoundError(
                f'{printable(folder)} contains no image and no video with one '
                f'of the suffixes {SUFFIXES}.')
        return _items(found, folder)

    def _without_outputs(self, paths, source):
        """Leave out files below the folder of the outputs, if that lies
        inside of the folder that is searched."""
        if self._exclude is None:
            return paths
        outputs = osp.realpath(self._exclude)
        searched = osp.realpath(
            source if osp.isdir(source) else _plain_part(source))
        if osp.isdir(source) and searched == outputs:
            raise ValueError(
                f'{printable(source)} is the folder of the inputs, and a '
                'second run would take the results for inputs; choose another '
                'out_dir.')
        if not outputs.startswith(osp.join(searched, '')):
            return paths
        kept = [path for path in paths if not osp.realpath(path).startswith(
            outputs + os.sep)]
        if len(kept) < len(paths):
            print_log(f'{printable(source)}: leaves out {self._exclude}, the '
                      'folder of the results', logger='current')
        return kept

    def _of_image(self, image):
        order = self.channel_order
        number, self._names.images = self._names.images, (
            self._names.images + 1)
        return Item(f'image_{number:06}', None,
                    lambda: to_bgr(image, order))


def _unreadable(error, value):
    """Return an item for an input that is not there."""
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None

    def read():
        raise error

    return Item(osp.splitext(osp.basename(path or ''))[0] or 'input', path,
                read)


def _plain_part(pattern):
    """Return the folder in front of the first wildcard."""
    while glob.has_magic(pattern):
        pattern = osp.dirname(pattern)
    return pattern or '.'


def _is_address(path):
    return urlsplit(os.fspath(path)).scheme in ('http', 'https')


def _is_one(value):
    """Tell one input from an iterable of them."""
    return isinstance(value, (str, os.PathLike, np.ndarray)) or (
        hasattr(value, 'convert') or torch.is_tensor(value))


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


def _items(paths, root):
    """Name files by their paths below a folder; where two differ in nothing
    but the suffix, it becomes part of the name. Returns a list, or a generator
    if there are videos."""
    inside = [osp.relpath(path, root) for path in paths]
    stems = Counter(osp.splitext(name)[0] for name in inside)
    names = [name if stems[osp.splitext(name)[0]] > 1 else
             osp.splitext(name)[0] for name in inside]
    if any(_has(path, VIDEO_SUFFIXES) for path in paths):
        return _mixed(names, paths)
    return [_of_file(name, path) for name, path in zip(names, paths)]


def _mixed(names, paths):
    for name, path in zip(names, paths):
        if _has(path, VIDEO_SUFFIXES):
            yield from _frames(name, path)
        else:
            yield _of_file(name, path)


def _of_file(name, path):
    return Item(name, path, lambda: read_image(path))


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
    # blanks and umlauts, as browsers send them
    request = urllib.request.Request(
        quote(address, safe="%/:=&?~#+!$,;'@()*[]"),
        headers={'User-Agent': 'genpercept_mm'})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            content = answer.read()
    except (OSError, HTTPException) as error:
        raise OSError(f'{address} cannot be downloaded ({error!r}).'
                      ) from error
    return _decode(content, address)


def _frames(name, path):
    """Yield the frames of a video; of a broken one, an item that raises an
    OSError when it is read."""
    def broken(reason, late=False):
        def read():
            raise OSError(f'{printable(path)} {reason}')

        return Item(name, path, read, late=late)

    if printable(path) != path:
        # OpenCV would end the process
        yield broken('has a name that is not UTF-8, which OpenCV cannot open '
                     'as a video; rename it.')
        return
    video = cv2.VideoCapture(path)
    try:
        if not video.isOpened():
            yield broken('cannot be read as a video.')
            return
        number = 0
        fps = video.get(cv2.CAP_PROP_FPS) or Item.fps
        while True:
            done, image = video.read()
            if not done:
                break
            yield Item(f'{name}/{number:06}', path, lambda image=image: image,
                       path, number, fps)
            number += 1
        announced = video.get(cv2.CAP_PROP_FRAME_COUNT)
        if number == 0:
            yield broken('has no frame that OpenCV can decode.')
        elif announced - number > max(LACKING, LACKING_SHARE * announced):
            yield broken(f'ends after {number} of {announced:.0f} frames; it '
                         'is cut off or damaged.', late=True)
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
    elif torch.is_tensor(image):
        image = image.detach().cpu()
        # NumPy has no bfloat16
        image = (image.float() if image.is_floating_point() else image
                 ).numpy()
        if image.ndim == 3 and image.shape[0] in (1, 3, 4):
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
    # of the other byte order, too
    image = image.astype(image.dtype.newbyteorder('='), copy=False)
    if image.dtype == np.uint8:
        return image
    if image.dtype == bool:
        return image.astype(np.uint8) * 255
    if image.dtype == np.uint16:
        return np.round(image / 257.).astype(np.uint8)
    low, high = image.min(), image.max()
    # resizing overshoots a little
    if image.dtype.kind == 'f' and -SLACK <= low <= high <= 1 + SLACK:
        return np.round(np.clip(image, 0, 1) * 255.).astype(np.uint8)
    if image.dtype.kind in 'iu' and 0 <= low <= high <= 255:
        return image.astype(np.uint8)
    raise ValueError(
        'an image must be integers in 0..255, uint16 or float in [0, 1], got '
        f'{image.dtype} from {low:g} to {high:g}; convert it.')
