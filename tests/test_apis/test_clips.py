"""Videos are whole or not there, and each has its own alignment."""
import cv2
import numpy as np
import pytest

from genpercept_mm.apis.clips import Clip, Clips


def frames_of(path):
    video, frames = cv2.VideoCapture(str(path)), []
    while True:
        done, frame = video.read()
        if not done:
            return frames
        frames.append(frame)


def test_image_and_map_stand_side_by_side(tmp_path):
    path = tmp_path / 'sub' / 'a.mp4'
    clip = Clip(str(path), 10)
    for level in (0, 200):
        clip.add(np.full((32, 40, 3), level, np.uint8),
                 np.full((32, 40, 3), (255, 0, 0), np.uint8))
    assert not path.exists()
    clip.close()
    frames = frames_of(path)
    assert len(frames) == 2 and frames[0].shape == (32, 80, 3)
    for frame, level in zip(frames, (0, 200)):
        assert abs(frame[:, :36].mean() - level) < 12
        # red in BGR
        blue, green, red = frame[:, 44:].reshape(-1, 3).mean(0)
        assert red > 200 and max(blue, green) < 60
    assert [item.name for item in path.parent.iterdir()] == ['a.mp4']


def test_odd_sides_lose_a_pixel(tmp_path):
    clip = Clip(str(tmp_path / 'a.mp4'), 10)
    picture = np.zeros((33, 41, 3), np.uint8)
    clip.add(picture, picture)
    clip.close()
    assert frames_of(tmp_path / 'a.mp4')[0].shape == (32, 82, 3)


def test_what_is_abandoned_leaves_nothing(tmp_path):
    clip = Clip(str(tmp_path / 'a.mp4'), 10)
    clip.add(*[np.zeros((32, 32, 3), np.uint8)] * 2)
    clip.abandon()
    assert list(tmp_path.iterdir()) == []


def result(video, frame, values):
    return dict(name=f'{video}/{frame:06}', quantity='depth', depth=values,
                video=video and f'{video}.avi', frame=frame, fps=5.)


def test_each_video_is_aligned_by_itself(tmp_path):
    values = np.linspace(0, 1, 1200).reshape(30, 40)
    picture = np.zeros((30, 40, 3), np.uint8)
    with Clips(str(tmp_path), 0) as clips:
        for video in ('a', 'b'):
            for frame, scale in enumerate((1, 2)):
                given = result(video, frame, values / scale)
                shown = clips.shown(given)
                np.testing.assert_allclose(
                    shown['depth'], values, rtol=0,
                    atol=1e-5 * np.abs(values).max())
                assert given['scale'] == pytest.approx(scale, rel=1e-5)
                clips.add(given, picture, picture)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'a_depth.mp4', 'b_depth.mp4']


def test_single_images_stay_as_they_are(tmp_path):
    given = dict(result(None, 0, np.zeros((3, 4))))
    del given['video']
    with Clips(str(tmp_path), .5) as clips:
        assert clips.shown(given) is given
        clips.add(given, None, None)
    assert list(tmp_path.iterdir()) == []


def test_two_copies_of_a_clip_become_two_videos(tmp_path):
    picture = np.zeros((32, 32, 3), np.uint8)
    with Clips(str(tmp_path), None) as clips:
        for name in ('a', 'a-2'):
            for frame in range(2):
                values = dict(result(name, frame, picture), video='a.avi')
                clips.shown(values)
                clips.add(values, picture, picture)
    for name in ('a', 'a-2'):
        assert len(frames_of(tmp_path / f'{name}_depth.mp4')) == 2


def test_a_name_that_is_too_long_is_changed(tmp_path):
    picture, name = np.zeros((32, 32, 3), np.uint8), 'x' * 250
    with Clips(str(tmp_path), None) as clips:
        values = result(name, 0, picture)
        clips.shown(values)
        path = clips.add(values, picture, picture)
    assert [str(item) for item in tmp_path.iterdir()] == [path]
    assert len(frames_of(path)) == 1
