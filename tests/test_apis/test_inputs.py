"""Whatever a user gives becomes images, in order and under own names."""
import functools
import http.server
import os
import threading

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from genpercept_mm.apis.inputs import Inputs, Names, to_bgr

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 8, 3)).astype(np.uint8)
BGR = RGB[..., ::-1]


def names(inputs, **kwargs):
    return [item.name for item in Inputs(inputs, **kwargs)]


@pytest.fixture
def folder(tmp_path):
    for name in ('b.png', 'a.png', 'sub/a.png', 'sub/deep/c.bmp', 'twin.bmp',
                 'twin.png'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RGB).save(path)
    (tmp_path / 'notes.txt').write_text('x')
    return tmp_path


def test_folders_are_read_with_their_sub_folders(folder):
    inputs = Inputs(str(folder))
    assert inputs.total == 6
    items = list(inputs)
    assert [item.name for item in items] == [
        'a', 'b', 'sub/a', 'sub/deep/c', 'twin.bmp', 'twin.png']
    for item in items:
        np.testing.assert_array_equal(item.read(), BGR)


def test_patterns_files_and_lists(folder):
    assert names(str(folder / '*.png')) == ['a', 'b', 'twin']
    assert names(str(folder / '**' / '*.png')) == ['a', 'b', 'sub/a', 'twin']
    assert names(folder / 'sub' / 'a.png') == ['a']
    # of two files of one name, neither is lost
    assert names([str(folder / 'a.png'), str(folder / 'sub' / 'a.png'),
                  RGB]) == ['a', 'a-2', 'image_000000']
    Image.fromarray(RGB).save(folder / 'a-2.png')
    assert names([str(folder / name) for name in (
        'a.png', 'sub/a.png', 'a-2.png', 'a.png')]) == [
            'a', 'a-2', 'a-2-2', 'a-3']
    generator = (str(folder / name) for name in ('b.png', 'a.png'))
    assert names(generator) == ['b', 'a']


@pytest.mark.parametrize('image, order', [
    (BGR, 'bgr'), (RGB, 'rgb'), (Image.fromarray(RGB), 'bgr'),
    (torch.from_numpy(RGB).permute(2, 0, 1), 'bgr'),
    (torch.from_numpy(RGB / 255).permute(2, 0, 1), 'bgr'),
    (BGR / np.float32(255), 'bgr'), (BGR.astype(np.uint16) * 257, 'bgr'),
    (np.dstack([BGR, BGR[..., 0]]), 'bgr')])
def test_images_in_memory(image, order):
    np.testing.assert_array_equal(to_bgr(image, order), BGR)


def test_grey_images_have_three_equal_channels():
    grey = RGB[..., 0]
    for image in (grey, grey[..., None], Image.fromarray(grey),
                  torch.from_numpy(grey), torch.from_numpy(grey[None])):
        np.testing.assert_array_equal(
            to_bgr(image), np.repeat(grey[..., None], 3, 2))


def test_several_images_in_one_array():
    assert names(np.stack([RGB, RGB])) == ['image_000000', 'image_000001']
    batch = torch.zeros(3, 3, 5, 7)
    assert [item.read().shape for item in Inputs(batch)] == [(5, 7, 3)] * 3


def test_turned_photographs_are_upright(tmp_path):
    picture = Image.fromarray(RGB)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / 'a.webp', lossless=True, exif=exif)
    item, = Inputs(str(tmp_path / 'a.webp'))
    # 6: the first row is the right column
    np.testing.assert_array_equal(item.read(), np.rot90(BGR, -1))
    np.testing.assert_array_equal(
        to_bgr(Image.open(tmp_path / 'a.webp')), np.rot90(BGR, -1))


def test_frames_of_a_video(tmp_path):
    path = str(tmp_path / 'clip.avi')
    video = cv2.VideoWriter(
        path, cv2.VideoWriter_fourcc(*'MJPG'), 5, (64, 48))
    for level in (0, 120, 240):
        video.write(np.full((48, 64, 3), level, np.uint8))
    video.release()
    inputs = Inputs(path)
    assert inputs.total is None
    items = list(inputs)
    assert [item.name for item in items] == [
        'clip/000000', 'clip/000001', 'clip/000002']
    assert [item.frame for item in items] == [0, 1, 2]
    for item, level in zip(items, (0, 120, 240)):
        assert abs(item.read().mean() - level) < 3


def test_addresses(folder, monkeypatch):
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *args: None
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        home = f'http://127.0.0.1:{server.server_address[1]}'
        item, = Inputs(f'{home}/sub/a.png?size=1')
        assert item.name == 'a'
        np.testing.assert_array_equal(item.read(), BGR)
        missing, = Inputs(f'{home}/none.png')
        with pytest.raises(OSError, match='none.png cannot be downloaded'):
            missing.read()
        server.shutdown()


@pytest.mark.parametrize('given, error, message', [
    ('none.jpg', FileNotFoundError, 'none.jpg does not exist'),
    ('*.nothing', FileNotFoundError, "no video matches '..nothing'"),
    (3, TypeError, 'paths, arrays, tensors or PIL images, got int'),
    ([None], TypeError, 'got NoneType'),
])
def test_what_is_not_an_input_is_refused(tmp_path, monkeypatch, given, error,
                                         message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        list(Inputs(given))


def test_folders_without_images_are_refused(tmp_path):
    (tmp_path / 'a.txt').write_text('x')
    with pytest.raises(FileNotFoundError, match='contains no image'):
        Inputs(str(tmp_path))


@pytest.mark.parametrize('image, message', [
    (np.zeros((4, 5, 2), np.uint8), r'got \(4, 5, 2\)'),
    (np.zeros((0, 5, 3), np.uint8), r'got \(0, 5, 3\)'),
    (np.full((4, 5, 3), 7.), 'float64 from 7 to 7'),
    (np.full((4, 5, 3), np.nan), 'float64 from nan'),
    (np.full((4, 5, 3), 300, np.int32), 'int32 from 300'),
    (np.full((4, 5, 3), -1, np.int8), 'int8 from -1'),
])
def test_images_of_other_forms_are_refused(image, message):
    with pytest.raises(ValueError, match=message):
        to_bgr(image)


def test_broken_files_are_named(tmp_path):
    (tmp_path / 'empty.png').touch()
    (tmp_path / 'text.jpg').write_text('not an image')
    for item in Inputs(str(tmp_path)):
        with pytest.raises(OSError, match=f'{item.name}.* cannot be read'):
            item.read()


def write_video(path, count):
    path.parent.mkdir(exist_ok=True)
    video = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*'MJPG'), 5, (64, 48))
    for _ in range(count):
        video.write(np.zeros((48, 64, 3), np.uint8))
    video.release()
    return str(path)


def test_videos_of_one_name_and_folders_keep_their_frames_apart(tmp_path):
    one = write_video(tmp_path / 'a' / 'clip.avi', 2)
    two = write_video(tmp_path / 'b' / 'clip.avi', 1)
    assert names([one, two, one]) == [
        'clip/000000', 'clip/000001', 'clip-2/000000', 'clip-3/000000',
        'clip-3/000001']
    # and folders and patterns have videos, too
    Image.fromarray(RGB).save(tmp_path / 'a' / 'x.png')
    assert names(str(tmp_path / 'a')) == ['clip/000000', 'clip/000001', 'x']
    assert names(str(tmp_path / '*' / '*.avi')) == [
        'a/clip/000000', 'a/clip/000001', 'b/clip/000000']


def test_a_broken_video_does_not_end_the_others(tmp_path):
    Image.fromarray(RGB).save(tmp_path / 'a.png')
    (tmp_path / 'b.mp4').write_bytes(b'no video')
    first, broken, last = Inputs([
        str(tmp_path / name) for name in ('a.png', 'b.mp4', 'a.png')])
    with pytest.raises(OSError, match='b.mp4 cannot be read as a video'):
        broken.read()
    np.testing.assert_array_equal(last.read(), first.read())


def test_later_calls_do_not_take_names_of_earlier_ones(tmp_path):
    for folder in 'ab':
        (tmp_path / folder).mkdir()
        Image.fromarray(RGB).save(tmp_path / folder / 'x.png')
    book = Names()
    paths = [str(tmp_path / folder / 'x.png') for folder in 'aba']
    assert [names(path, names=book) for path in paths] == [
        ['x'], ['x-2'], ['x']]
    assert names(RGB, names=book) == ['image_000000']
    assert names([RGB, RGB], names=book) == ['image_000001', 'image_000002']


def test_results_are_not_taken_for_inputs(folder, tmp_path):
    assert names(str(folder), exclude=str(folder / 'sub')) == [
        'a', 'b', 'twin.bmp', 'twin.png']
    assert names(str(folder / '**/*.png'), exclude=str(folder / 'sub')) == [
        'a', 'b', 'twin']
    with pytest.raises(ValueError, match='is the folder of the inputs'):
        Inputs(str(folder), exclude=f'{folder}/sub/..')


def test_what_is_one_image(folder):
    for one in (RGB, str(folder / 'a.png'), Image.fromarray(RGB),
                'http://127.0.0.1/a.png'):
        assert Inputs(one).single
    for several in (RGB[None], str(folder / 'sub/deep'), [RGB],
                    str(folder / 'b*.png')):
        assert not Inputs(several).single


@pytest.mark.parametrize('image', [
    torch.from_numpy(RGB / 255).permute(2, 0, 1).bfloat16(),
    torch.from_numpy(RGB / 255).permute(2, 0, 1) * 1.004,
    torch.from_numpy(np.dstack([RGB, RGB[..., :1]])).permute(2, 0, 1),
    torch.from_numpy(RGB).permute(2, 0, 1).long()],
    ids=['bfloat16', 'overshoot', 'alpha', 'int64'])
def test_tensors_as_networks_and_resizing_leave_them(image):
    assert np.abs(to_bgr(image).astype(int) - BGR).max() <= 1


def test_addresses_with_blanks_and_cut_answers(folder, monkeypatch):
    (folder / 'a b.png').write_bytes((folder / 'a.png').read_bytes())
    monkeypatch.setenv('no_proxy', '127.0.0.1')

    class Handler(http.server.SimpleHTTPRequestHandler):

        def do_GET(self):
            if 'cut' not in self.path:
                return super().do_GET()
            self.send_response(200)
            self.send_header('Content-Length', '1000')
            self.end_headers()
            self.wfile.write(b'x')

        def log_message(self, *args):
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        home = f'http://127.0.0.1:{server.server_address[1]}'
        item, = Inputs(f'{home}/a b.png')
        np.testing.assert_array_equal(item.read(), BGR)
        item, = Inputs(f'{home}/cut.png')
        with pytest.raises(OSError, match='cut.png cannot be downloaded'):
            item.read()
        server.shutdown()


def test_frames_do_not_take_the_names_of_pictures(tmp_path):
    """A clip lies beside the folder of its own frames."""
    write_video(tmp_path / 'clip.avi', 3)
    (tmp_path / 'clip').mkdir()
    for number in range(3):
        Image.fromarray(RGB).save(tmp_path / 'clip' / f'00000{number}.png')
    known = Names()
    for given in (str(tmp_path), [str(tmp_path / 'clip.avi'), str(tmp_path)],
                  str(tmp_path)):
        found = names(given, names=known)
        assert len(set(found)) == len(found) == (
            9 if isinstance(given, list) else 6)
    # later calls give the same file the same name
    assert names(str(tmp_path), names=known) == found


def test_one_file_by_two_paths_keeps_its_name(folder, monkeypatch):
    monkeypatch.chdir(folder)
    known = Names()
    for path in ('a.png', './a.png', str(folder / 'a.png')):
        assert names(path, names=known) == ['a']


def test_outputs_around_the_inputs_hide_nothing(folder):
    sub = str(folder / 'sub')
    for given in (sub, f'{sub}/*.png', f'{sub}/**/*.*'):
        assert names(given, exclude=str(folder)) == names(given) != []
    assert names(f'{folder}/*.png', exclude=str(folder)) == [
        'a', 'b', 'twin']
    assert names(f'{folder}/**/*.png', exclude=sub) == ['a', 'b', 'twin']


def test_a_video_that_is_cut_off_is_told(tmp_path):
    path = tmp_path / 'long.avi'
    write_video(path, 40)
    assert [item.late for item in Inputs(str(path))] == [False] * 40
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 2])
    *frames, last = Inputs(str(path))
    assert 2 < len(frames) < 30 and not any(item.late for item in frames)
    assert last.late
    with pytest.raises(OSError, match=f'ends after {len(frames)} of 40 frame'):
        last.read()


def test_a_video_that_opencv_cannot_name_is_passed_over(tmp_path, run_python):
    """OpenCV would end the process."""
    write_video(tmp_path / 'a.avi', 3)
    os.rename(tmp_path / 'a.avi', os.fsencode(tmp_path) + b'/caf\xe9.avi')
    Image.fromarray(RGB).save(tmp_path / 'z.png')
    text = run_python('-c', f"""
from genpercept_mm.apis.inputs import Inputs
broken, image = Inputs({str(tmp_path)!r})
image.read()
try:
    broken.read()
except OSError as error:
    print(error)""")
    assert 'name that is not UTF-8' in text.stdout


def test_what_is_not_there_can_be_passed_over(folder):
    paths = [str(folder / name) for name in ('a.png', 'no.png', 'b.png')]
    for given in (paths, iter(paths)):
        items = list(Inputs(given, skip_errors=True))
        assert [item.name for item in items] == ['a', 'no', 'b']
        with pytest.raises(FileNotFoundError, match='no.png does not exist'):
            items[1].read()
    with pytest.raises(FileNotFoundError, match='no.png does not exist'):
        Inputs(paths)


def test_orders_of_channels_and_bytes():
    with pytest.raises(ValueError, match="channel_order must be one of"):
        Inputs(RGB, channel_order='RGB')
    deep = (RGB.astype(np.uint16) * 257)
    np.testing.assert_array_equal(to_bgr(deep.astype('>u2'), 'rgb'), BGR)
    small = (RGB // 255).astype('>u2')
    np.testing.assert_array_equal(
        to_bgr(small, 'rgb'), to_bgr(small.astype('<u2'), 'rgb'))
