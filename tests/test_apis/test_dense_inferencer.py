"""One line from a photograph to a map."""
import struct

import cv2
import numpy as np
import pytest
import torch
from conftest import MINI_CONFIG, make_once
from mini_models import build
from mmengine.config import Config
from mmseg.apis import inference_model
from mmseg.apis import init_model as init_host_model
from PIL import Image
from weights import write_checkpoint

from genpercept_mm.apis import DenseInferencer

MINI = 'configs/mini/genpercept_vae_mini-'
CONFIGS = dict(
    depth=f'{MINI}hypersim-depth.py', disparity=f'{MINI}hypersim-disparity.py',
    normal=f'{MINI}hypersim-normal.py', alpha=f'{MINI}p3m10k-matting.py',
    sem_seg=MINI_CONFIG)


@pytest.fixture(scope='session')
def checkpoints(tmp_path_factory):
    def write(folder):
        for name, config in CONFIGS.items():
            write_checkpoint(f'{folder}/{name}.pth', config)

    folder = make_once(tmp_path_factory, 'inferencer', write)
    return {name: f'{folder}/{name}.pth' for name in CONFIGS}


@pytest.fixture(scope='module')
def depth(checkpoints):
    return DenseInferencer(checkpoints['depth'], device='cpu',
                           show_progress=False)


def photograph(size=(60, 80), seed=0):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (5, 7, 3)).astype(np.uint8)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / 'photo.png'
    cv2.imwrite(str(path), photograph())
    return str(path)


@pytest.mark.parametrize('quantity, shape, facts', [
    ('depth', (60, 80), dict(near=0., far=1., range=(0., 1.))),
    ('disparity', (60, 80), dict(near=1., far=0., range=(0., 1.))),
    ('normal', (60, 80, 3), dict(
        axes=('right', 'up', 'towards the viewer'), range=(-1., 1.))),
    ('alpha', (60, 80), dict(opaque=1., range=(0., 1.))),
    ('sem_seg', (60, 80), dict())])
def test_results_equal_those_of_the_host(checkpoints, photo, quantity, shape,
                                         facts):
    """mmseg's functions for single images, with the same config."""
    inferencer = DenseInferencer(checkpoints[quantity], device='cpu')
    result = inferencer(photo)
    assert result['quantity'] == quantity and result['path'] == photo
    assert {key: result[key] for key in facts} == facts
    values = result[quantity]
    assert values.shape == shape and np.isfinite(values).all()
    assert result['input_size'] == (60, 80)
    assert result['working_size'] == (96, 128) and '128' in result['rule']
    assert result['seconds'] > 0 and result['notes'] == []
    host = init_host_model(
        CONFIGS[quantity], checkpoints[quantity], device='cpu')
    sample = inference_model(host, photo)
    field = 'pred_sem_seg' if quantity == 'sem_seg' else (
        f'pred_{quantity}_map')
    theirs = sample.get(field).data.permute(1, 2, 0).squeeze(-1).numpy()
    np.testing.assert_array_equal(values, theirs)
    assert values.std() > 0


@pytest.mark.parametrize('quantity', ['depth', 'normal', 'sem_seg'])
def test_a_folded_model_predicts_the_same(checkpoints, photo, quantity):
    plain, folded = (
        DenseInferencer(checkpoints[quantity], device='cpu', deploy=deploy)(
            photo)[quantity] for deploy in (False, True))
    if quantity == 'sem_seg':
        assert (plain == folded).mean() > .99
        return
    # random weights amplify rounding
    np.testing.assert_allclose(folded, plain, atol=2e-4)
    assert not np.array_equal(folded, plain)


@pytest.mark.parametrize('quantity', ['depth', 'sem_seg'])
def test_low_memory_predicts_the_same(checkpoints, photo, quantity):
    expected, result = (
        DenseInferencer(checkpoints[quantity], device='cpu',
                        low_memory=low_memory)(photo)[quantity]
        for low_memory in (False, True))
    if quantity == 'depth':
        np.testing.assert_allclose(result, expected, atol=1e-4)
    else:
        assert np.mean(result != expected) < 1e-3


def test_all_kinds_of_inputs_give_the_same(depth, photo):
    expected = depth(photo)['depth']
    bgr = cv2.imread(photo)
    rgb = np.ascontiguousarray(bgr[..., ::-1])
    for image in (bgr, Image.fromarray(rgb), torch.from_numpy(
            rgb).permute(2, 0, 1)):
        np.testing.assert_array_equal(depth(image)['depth'], expected)
    results = depth([photo, bgr])
    assert [result['path'] for result in results] == [photo, None]


def test_batches_of_mixed_sizes_give_what_single_images_give(depth):
    images = [photograph(size, seed) for seed, size in enumerate(
        [(60, 80), (80, 60), (33, 47), (60, 80), (1, 1), (80, 60)])]
    alone = [depth(image)['depth'] for image in images]
    together = depth(images, batch_size=3)
    assert [result['input_size'] for result in together] == [
        image.shape[:2] for image in images]
    for one, other in zip(alone, together):
        # a batch of another size sums in another order
        assert np.abs(one - other['depth']).max() < 1e-4


def test_the_size_can_be_chosen(depth, photo):
    assert depth(photo, size=64)['working_size'] == (48, 64)
    native = depth(photo, size='native')
    assert native['working_size'] == (60, 80)
    assert native['rule'] == 'size of the image'
    with pytest.raises(ValueError, match="positive integer or 'native'"):
        depth(photo, size='large')


def test_tiles_are_near_the_whole(depth):
    """At the working size, as a config of sliding windows gives."""
    image = photograph((96, 256))
    tiled = depth(image, size=256, tile=128)
    assert tiled['notes'] == ['tiles of 128']
    model = depth.model
    before, model.test_cfg = model.test_cfg, dict(
        model.test_cfg, mode='slide', crop_size=(128, 128), stride=(96, 96))
    try:
        expected = depth(image, size=256, tile=0)['depth']
    finally:
        model.test_cfg = before
    np.testing.assert_array_equal(tiled['depth'], expected)


def test_lack_of_memory_halves_the_batch_then_cuts_tiles(
        checkpoints, monkeypatch, photo):
    inferencer = DenseInferencer(checkpoints['depth'], device='cpu')
    stock, calls = inferencer._forward, []

    def forward(batch, tile):
        calls.append((len(batch), tile))
        if len(batch) > 1 or tile != 64:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: "
                               'you tried to allocate 9 bytes.')
        return stock(batch, tile)

    monkeypatch.setattr(inferencer, '_forward', forward)
    results = inferencer([photo] * 3, batch_size=3)
    assert calls[:3] == [(3, 0), (1, 0), (1, 64)]
    # what was learnt about the device is kept
    assert calls[3:] == [(1, 64)] * 2
    for result in results:
        assert 'tiles of 64, for lack of memory' in result['notes']
        np.testing.assert_array_equal(result['depth'], results[0]['depth'])


def test_memory_that_never_suffices_is_an_error(
        checkpoints, monkeypatch, photo):
    inferencer = DenseInferencer(checkpoints['depth'], device='cpu')

    def forward(batch, tile):
        raise torch.OutOfMemoryError('CUDA out of memory. Tried')

    monkeypatch.setattr(inferencer, '_forward', forward)
    with pytest.raises(RuntimeError, match='photo.png: memory does not '
                       'suffice for tiles of 64 .*smaller size'):
        inferencer(photo)


def test_other_errors_are_not_taken_for_a_lack_of_memory(
        checkpoints, monkeypatch, photo):
    inferencer = DenseInferencer(checkpoints['depth'], device='cpu')

    def forward(batch, tile):
        raise RuntimeError('shapes differ')

    monkeypatch.setattr(inferencer, '_forward', forward)
    with pytest.raises(RuntimeError, match='shapes differ'):
        inferencer(photo)


def test_files(depth, tmp_path):
    for name in ('a.png', 'sub/a.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), photograph())
    out = tmp_path / 'out'
    results = depth(str(tmp_path), out_dir=str(out), save=(
        'picture', 'png16', 'npy', 'exr', 'tiff'), return_picture=True)
    found = sorted(str(path.relative_to(out)) for path in out.rglob('*.*'))
    ends = ('.exr', '.npy', '.png', '.tiff', '_16bit.png')
    assert found == sorted(
        f'{stem}_depth{end}' for stem in ('a', 'sub/a') for end in ends)
    values = results[1]['depth']
    np.testing.assert_array_equal(
        np.load(out / 'sub/a_depth.npy'), values)
    for kind in ('exr', 'tiff'):
        raster = cv2.imread(results[1]['files'][kind], cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(raster, values)
    png = cv2.imread(str(out / 'sub/a_depth_16bit.png'),
                     cv2.IMREAD_UNCHANGED)
    assert png.dtype == np.uint16
    assert np.abs(png / 65535 - values).max() <= .5 / 65535 + 1e-7
    picture = cv2.imread(str(out / 'a_depth.png'))[..., ::-1]
    np.testing.assert_array_equal(picture, results[0]['picture'])


def test_normals_in_files_have_their_axes(checkpoints, photo, tmp_path):
    inferencer = DenseInferencer(checkpoints['normal'], device='cpu')
    result = inferencer(photo, out_dir=tmp_path / 'out', save=(
        'png16', 'exr'))
    for kind, decode in (('png16', lambda png: png / 65535 * 2 - 1),
                         ('exr', lambda values: values)):
        raster = cv2.imread(result['files'][kind], cv2.IMREAD_UNCHANGED)
        assert np.abs(decode(raster[..., ::-1]) - result['normal']).max() < (
            2 / 65535)


def test_files_that_cannot_be_read_can_be_passed_over(depth, tmp_path):
    for name in ('a.png', 'c.png'):
        cv2.imwrite(str(tmp_path / name), photograph())
    (tmp_path / 'b.png').write_bytes(b'\x89PNG')
    results = depth(str(tmp_path), batch_size=2, skip_errors=True)
    assert ['error' in result for result in results] == [False, True, False]
    assert 'b.png cannot be read' in results[1]['error']
    with pytest.raises(OSError, match='b.png cannot be read'):
        depth(str(tmp_path))


def test_a_stream_reads_no_further_than_it_must(depth):
    read = []

    def images():
        for number in range(100):
            read.append(number)
            yield photograph(seed=number)

    stream = depth.stream(images())
    next(stream)
    assert len(read) == 1
    next(stream)
    assert len(read) == 2


@pytest.fixture
def video(tmp_path):
    path = str(tmp_path / 'clip.avi')
    writer = cv2.VideoWriter(
        path, cv2.VideoWriter_fourcc(*'MJPG'), 12, (64, 48))
    image = photograph((48, 64))
    for number in range(4):
        writer.write(np.roll(image, number, 1))
    writer.release()
    return path


def test_a_video_becomes_a_video(depth, video, tmp_path):
    out = tmp_path / 'out'
    results = depth(video, out_dir=str(out), save=('video', 'npy'),
                    align_frames=0)
    assert [result['frame'] for result in results] == [0, 1, 2, 3]
    assert results[0]['scale'] == 1 and results[0]['shift'] == 0
    assert results[1]['scale'] != 1
    assert sorted(str(path.relative_to(out)) for path in out.rglob('*.*')) == [
        *(f'clip/00000{number}_depth.npy' for number in range(4)),
        'clip_depth.mp4']
    written = cv2.VideoCapture(str(out / 'clip_depth.mp4'))
    assert written.get(cv2.CAP_PROP_FPS) == 12
    frames = []
    while True:
        done, frame = written.read()
        if not done:
            break
        frames.append(frame)
    assert len(frames) == 4 and frames[0].shape == (48, 128, 3)
    # the image is on the left
    assert np.abs(frames[0][:, :64].astype(int) - photograph(
        (48, 64))).mean() < 20


def test_a_video_that_is_stopped_has_the_frames_so_far(depth, video,
                                                       tmp_path):
    out = tmp_path / 'out'
    stream = depth.stream(video, out_dir=str(out), save='video')
    next(stream)
    next(stream)
    stream.close()
    assert [path.name for path in out.iterdir()] == ['clip_depth.mp4']
    written = cv2.VideoCapture(str(out / 'clip_depth.mp4'))
    assert [written.read()[0] for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize('skip', [True, False])
def test_pictures_among_videos(depth, video, photo, tmp_path, skip):
    """They have no video, but do not cost one."""
    out = tmp_path / 'out'
    stream = depth.stream([video, photo, video], out_dir=str(out),
                          save='video', skip_errors=skip)
    if not skip:
        with pytest.raises(ValueError, match='nothing of an image such as'):
            list(stream)
        assert [path.name for path in out.iterdir()] == ['clip_depth.mp4']
        return
    results = list(stream)
    assert ['error' in result for result in results] == [
        False] * 4 + [True] + [False] * 4
    assert 'depth' in results[4]
    assert sorted(path.name for path in out.iterdir()) == [
        'clip-2_depth.mp4', 'clip_depth.mp4']


@pytest.mark.parametrize('quantity', ['depth', 'disparity'])
def test_a_few_distances_give_metres_and_points(checkpoints, photo, tmp_path,
                                                quantity):
    inferencer = DenseInferencer(checkpoints[quantity], device='cpu')
    pred = inferencer(photo)[quantity].astype(float)
    fitted = 3 * pred + 1
    metres = fitted if quantity == 'depth' else 1 / fitted
    rows = [(u, v, metres[v, u]) for v in range(2, 60, 9)
            for u in range(1, 80, 11)]
    points = tmp_path / 'points.txt'
    points.write_text('\n'.join('%d %d %.12f' % row for row in rows))
    out = tmp_path / 'out'
    result = inferencer(photo, out_dir=str(out), calibrate=str(points),
                        focal=70.)
    np.testing.assert_allclose(result['metres'], metres, rtol=1e-4)
    assert result['calibration'].scale == pytest.approx(3, rel=1e-4)
    stem = f'photo_{quantity}'
    np.testing.assert_array_equal(
        np.load(out / f'{stem}_metres.npy'), result['metres'])
    header, body = (out / f'{stem}.ply').read_bytes().split(b'end_header\n')
    assert b'element vertex 4800' in header and len(body) == 4800 * 15
    x, y, z, *color = struct.unpack('<fffBBB', body[:15])
    assert z == result['metres'][0, 0]
    assert 70 * x / z == pytest.approx(-39.5, rel=1e-5)
    assert 70 * y / z == pytest.approx(-29.5, rel=1e-5)
    assert color == cv2.imread(photo)[0, 0, ::-1].tolist()
    # the saved one again, without the points
    again = inferencer(photo, calibrate=str(
        out / f'{stem}_calibration.json'))
    np.testing.assert_array_equal(again['metres'], result['metres'])


def test_images_without_points_are_passed_over_or_raise(depth, photo,
                                                        tmp_path):
    points = tmp_path / 'points'
    points.mkdir()
    with pytest.raises(FileNotFoundError, match='has no points for photo'):
        depth(photo, calibrate=str(points))
    result, = depth.stream(photo, calibrate=str(points), skip_errors=True)
    assert 'has no points' in result['error'] and 'metres' not in result
    assert result['depth'].shape == (60, 80)


def test_only_relative_quantities_are_aligned(checkpoints, video):
    inferencer = DenseInferencer(checkpoints['normal'], device='cpu')
    with pytest.raises(ValueError, match='depth and disparity, not for norm'):
        inferencer(video, align_frames=0)


@pytest.mark.parametrize('kwargs, message', [
    (dict(save='jpg'), 'save must be one of'),
    (dict(focal=70.), 'focal .* needs calibrate'),
    (dict(batch_size=0), 'batch_size must be at least 1')])
def test_wrong_arguments_are_refused(depth, photo, kwargs, message):
    with pytest.raises(ValueError, match=message):
        depth(photo, **kwargs)


def test_half_precision_gives_float32(checkpoints, photo, depth):
    half = DenseInferencer(checkpoints['depth'], device='cpu', dtype='bf16')
    result = half(photo)['depth']
    assert result.dtype == np.float32
    full = depth(photo)['depth']
    assert 0 < np.abs(result - full).mean() < .02
    with pytest.raises(ValueError, match="dtype must be one of .*'fp8'"):
        DenseInferencer(checkpoints['depth'], device='cpu', dtype='fp8')


def test_broken_inputs_of_all_kinds_are_passed_over(depth, photo, tmp_path):
    (tmp_path / 'b.mp4').write_bytes(b'no video')
    inputs = [photo, str(tmp_path / 'b.mp4'), np.zeros((4, 5, 2), np.uint8),
              photo]
    results = list(depth.stream(inputs, skip_errors=True))
    assert ['error' in result for result in results] == [
        False, True, True, False]
    assert 'b.mp4 cannot be read as a video' in results[1]['error']


def test_calls_in_a_loop_lose_no_files(depth, tmp_path):
    out = str(tmp_path / 'out')
    for seed in range(3):
        depth(photograph(seed=seed), out_dir=out, save='npy')
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
        f'image_00000{number}_depth.npy' for number in range(3)]


def test_folders_and_batches_give_lists(depth, photo, tmp_path):
    assert isinstance(depth(photo), dict)
    assert len(depth(str(tmp_path))) == 1
    assert len(depth(torch.zeros(1, 3, 40, 48))) == 1


def test_still_pictures_cannot_be_saved_as_a_video(depth, photo, tmp_path):
    with pytest.raises(ValueError, match="save='video' writes nothing of"):
        depth(photo, out_dir=str(tmp_path / 'out'), save='video')


def test_maps_that_are_not_finite_are_not_written(checkpoints, photo,
                                                  tmp_path):
    inferencer = DenseInferencer(checkpoints['depth'], device='cpu')
    with torch.no_grad():
        inferencer.model.backbone.unet.conv_out.bias.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match='photo.png: the prediction'):
        inferencer(photo, out_dir=str(tmp_path / 'out'))
    result, = inferencer.stream(photo, skip_errors=True)
    assert 'NaN or infinite' in result['error']
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('kind', ['upernet', 'colormap'])
def test_classes_of_networks_that_are_not_finite(tmp_path, photo, kind):
    """The largest of NaN is class 0."""
    config = dict(upernet=MINI_CONFIG,
                  colormap=f'{MINI}hypersim-seg.py')[kind]
    write_checkpoint(f'{tmp_path}/{kind}.pth', config)
    inferencer = DenseInferencer(f'{tmp_path}/{kind}.pth', device='cpu')
    inferencer(photo)
    with torch.no_grad():
        next(inferencer.model.decode_head.parameters()).fill_(torch.nan)
    with pytest.raises(FloatingPointError, match='photo.png: the prediction'):
        inferencer(photo)


def test_a_lack_of_memory_does_not_tile_smaller_images(
        checkpoints, monkeypatch):
    inferencer = DenseInferencer(checkpoints['depth'], device='cpu')
    stock = inferencer._forward

    def forward(batch, tile):
        height, width = batch[0]['inputs'].shape[1:]
        if min(tile or height, height) * min(tile or width, width) > 100**2:
            raise torch.OutOfMemoryError('CUDA out of memory. Tried')
        return stock(batch, tile)

    monkeypatch.setattr(inferencer, '_forward', forward)
    large, small = photograph((96, 128)), photograph((72, 96))
    first = inferencer(small, size='native')
    assert 'tiles of 64, for lack of memory' in inferencer(
        large, size='native')['notes']
    again = inferencer(small, size='native')
    assert again['notes'] == first['notes'] == []
    np.testing.assert_array_equal(again['depth'], first['depth'])


def test_other_devices_and_tiles_are_refused(checkpoints, depth, photo):
    with pytest.raises(ValueError, match="device 'cuda:7' is not there"):
        DenseInferencer(checkpoints['depth'], device='cuda:7')
    for tile in (-1, 4, 12.5):
        with pytest.raises(ValueError, match='tile must be 0.*at least 64'):
            depth(photo, tile=tile)
    assert depth(photo, size=np.int64(64))['working_size'] == (48, 64)


def test_networks_without_maps_are_refused(tmp_path):
    state = build('pose').state_dict()
    cfg = Config.fromfile('configs/mini/genpercept_heatmap_mini-people.py')
    torch.save(dict(state_dict=state, meta=dict(cfg=cfg.pretty_text)),
               tmp_path / 'pose.pth')
    with pytest.raises(ValueError, match='TopdownPoseEstimator gives no map; '
                       'use .*MMPoseInferencer'):
        DenseInferencer(f'{tmp_path}/pose.pth', device='cpu')
