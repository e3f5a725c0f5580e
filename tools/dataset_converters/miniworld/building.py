"""What builders of data sets share: arguments, folders, files, progress."""
import json
import os.path as osp
import sys
import time
from glob import escape, glob

import cv2
from mmengine.logging import print_log
from mmengine.utils import ProgressBar

from genpercept_mm.utils.files import write_bytes


def check_numbers(function, numbers, **least):
    """Refuse numbers that are too small.

    Args:
        function (str): Name of the function that was called, for the error.
        numbers (dict[str, int]): Its arguments.
        **least (int): Smallest value allowed for an argument; 1 for those
            that are not named.

    Raises:
        ValueError: If a number is smaller.
    """
    for name, value in numbers.items():
        if value < least.get(name, 1):
            raise ValueError(
                f'{function}: {name} must be at least {least.get(name, 1)}, '
                f'got {value}; change the argument.')


def claim_folder(function, folder, note, parameters, traces, indent=2):
    """Write the parameters of a data set into its folder, once.

    A folder that already has such a note belongs to a data set which an
    earlier call has built or begun, and is used if the parameters agree.

    Args:
        function (str): Name of the builder, for errors.
        folder (str): Folder of the data set; made when missing.
        note (str): Name of the JSON file that holds the parameters.
        parameters (dict[str, int]): What the data set depends on.
        traces (Sequence[str]): Glob patterns of what only a data set has.
        indent (int, optional): Indentation of the note. Defaults to 2.

    Raises:
        ValueError: If the folder holds a data set that was built with other
            parameters, or that has no note.
    """
    advice = 'choose another folder or delete this one.'
    path = osp.join(folder, note)
    if osp.isfile(path):
        with open(path) as file:
            existing = json.load(file)
        for name, value in parameters.items():
            if existing.get(name) != value:
                raise ValueError(
                    f'{function}: {name} must be {existing.get(name)}, as in '
                    f'the data set that {folder} holds, got {value}; '
                    f'{advice}')
        return
    for pattern in traces:
        for found in glob(osp.join(escape(folder), pattern)):
            raise ValueError(
                f'{function}: out_dir must not hold another data set, got '
                f'{folder}, which has {osp.basename(found)} but no {note}; '
                f'{advice}')
    write_json(path, parameters, indent)


def incomplete(frames, files):
    """List the frames that still have to be made.

    Args:
        frames (Iterable): All frames of a data set.
        files (Callable): Returns the paths of a frame's files.

    Returns:
        list: Frames of which at least one file is missing.
    """
    return [frame for frame in frames
            if not all(map(osp.isfile, files(frame)))]


def tracked(items, title):
    """Yield items and report how many are done and how long the rest takes.

    Draws a bar in a terminal; elsewhere it logs a line per tenth.

    Args:
        items (Sequence): What is worked on.
        title (str): Start of each line.

    Yields:
        object: The items, in order.
    """
    total, start = len(items), time.time()
    progress = ProgressBar(total) if total and sys.stdout.isatty() else None
    for done, item in enumerate(items, 1):
        yield item
        if progress is not None:
            progress.update()
            if done == total:
                sys.stdout.write('\n')
        elif 10 * done // total > 10 * (done - 1) // total:
            elapsed = time.time() - start
            print_log(f'{title}: {done}/{total} frames, {elapsed:.0f} s, '
                      f'{elapsed / done * (total - done):.0f} s left')


def report_finished(title, folder, num_frames):
    """Log that a data set is complete already.

    Args:
        title (str): Start of the line.
        folder (str): Folder of the data set.
        num_frames (int): Number of its frames.
    """
    print_log(f'{title}: {folder} already holds all {num_frames} frames, '
              'nothing to do.')


def write_json(path, content, indent=None):
    """Write a JSON file, whole or not at all.

    Args:
        path (str): Target; its folder is made when missing.
        content (dict | list): What JSON can hold.
        indent (int, optional): Indentation. Defaults to None, which writes
            a single line.
    """
    write_bytes(path, (json.dumps(content, indent=indent) + '\n').encode())


def write_jpeg(path, picture, quality, *options):
    """Write a JPEG file, whole or not at all.

    Args:
        path (str): Target; its folder is made when missing.
        picture (np.ndarray): (H, W, 3) uint8, RGB.
        quality (int): From 0 to 100.
        *options (int): Further flags of OpenCV's and their values.
    """
    write_bytes(path, cv2.imencode(
        '.jpg', picture[..., ::-1],
        [cv2.IMWRITE_JPEG_QUALITY, quality, *options])[1].tobytes())
