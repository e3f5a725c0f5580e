"""Videos of predictions."""
import logging
import os
import os.path as osp
import tempfile

import cv2
import numpy as np
from mmengine.logging import print_log

from genpercept_mm.utils.files import PART, printable, usable_path

from .clip_alignment import ClipAlignment


class Clip:
    """A video of images and maps side by side, which appears when it is
    complete.

    Args:
        path (str): An .mp4 file.
        fps (float): Frames a second.

    Raises:
        OSError: If OpenCV cannot write it.
    """

    def __init__(self, path, fps):
        self.path, self.fps = path, fps
        if printable(path) != path:
            # OpenCV would end the process
            raise OSError(f'{printable(path)}: OpenCV writes no videos to '
                          'names that are not UTF-8; choose another out_dir.')
        os.makedirs(osp.dirname(path) or '.', exist_ok=True)
        handle, self._part = tempfile.mkstemp(
            dir=osp.dirname(path) or '.', prefix=PART, suffix='.mp4')
        os.close(handle)
        self._writer, self.frames = None, 0

    def add(self, image, picture):
        """Append a frame: the image (H, W, 3) BGR and the map (H, W, 3)
        RGB."""
        frame = np.concatenate([image, picture[..., ::-1]], axis=1)
        # the codec needs even sides
        frame = frame[:frame.shape[0] // 2 * 2, :frame.shape[1] // 2 * 2]
        if self._writer is None:
            self._writer = cv2.VideoWriter(
                self._part, cv2.VideoWriter_fourcc(*'mp4v'), self.fps,
                frame.shape[1::-1])
            if not self._writer.isOpened():
                raise OSError(f'OpenCV cannot write {self.path}; choose '
                              "'picture' to save single frames.")
        self._writer.write(np.ascontiguousarray(frame))
        self.frames += 1

    def close(self):
        """Finish the file; without a frame there is none."""
        if self._writer is not None:
            self._writer.release()
            if not osp.getsize(self._part):
                raise OSError(f'{self.path} could not be written.')
            os.chmod(self._part, 0o644)
            os.replace(self._part, self.path)

    def close_early(self):
        """Keep the frames so far of a video that was stopped, if they can be
        written."""
        try:
            self.close()
        except OSError:
            self.abandon()
        else:
            print_log(f'{self.path} was stopped after {self.frames} frames',
                      logger='current', level=logging.WARNING)

    def abandon(self):
        """Remove what is not finished."""
        if self._writer is not None:
            self._writer.release()
        if osp.exists(self._part):
            os.remove(self._part)


def _name(result):
    """Return the name of the video that a result is a frame of."""
    return result['name'].rpartition('/')[0]


class Clips:
    """What lasts from frame to frame of the videos among the inputs.

    Args:
        out_dir (str, optional): Folder for videos.
        filter (float, optional): See `ClipAlignment`.
    """

    def __init__(self, out_dir, filter):
        self.out_dir, self.filter = out_dir, filter
        self.source = self.clip = self.alignment = None
        if filter is not None:
            ClipAlignment(filter)  # refuse a wrong one at once

    def __enter__(self):
        return self

    def __exit__(self, error, *args):
        if self.clip is not None and not error:
            self.clip.close()
        elif self.clip is not None:
            self.clip.close_early()

    def shown(self, result):
        """Return the result to draw, aligned with the frames before."""
        source = result.get('video')
        if source is not None:
            source = _name(result)
        if source != self.source:
            if self.clip is not None:
                self.clip.close()
            self.source, self.clip, self.alignment = source, None, None
            if source is not None and self.filter is not None:
                self.alignment = ClipAlignment(self.filter)
        if self.alignment is None:
            return result
        values = self.alignment(result[result['quantity']])
        result.update(scale=self.alignment.scale, shift=self.alignment.shift)
        return {**result, result['quantity']: values}

    def finish(self):
        """Finish the video of the clip at hand, if there is one."""
        if self.clip is not None:
            self.clip.close()
        self.source = self.clip = self.alignment = None

    def add(self, result, image, picture):
        """Append a frame to the video of its clip, and return its path; None
        if there is none."""
        if self.out_dir is None or self.source is None:
            return None
        if self.clip is None:
            self.clip = Clip(usable_path(
                self.out_dir, f'{self.source}_{result["quantity"]}.mp4'),
                result['fps'])
        self.clip.add(image, picture)
        return self.clip.path
