from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from matplotlib import colormaps
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from genpercept_mm.codecs import AffineDepthCodec, MatteCodec
from genpercept_mm.registry import VISUALIZERS
from genpercept_mm.visualization import DenseLocalVisualizer

HEIGHT, WIDTH = 40, 60
# of pictures 40 pixels high
STRIP = 16
DEPTH = dict(type='genpercept_mm.AffineDepthCodec')
NORMAL = dict(type='genpercept_mm.NormalCodec')
MATTE = dict(type='genpercept_mm.MatteCodec')
CLASSES = dict(type='genpercept_mm.ColormapCodec')


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(
        0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def sample(**fields):
    result = SegDataSample()
    for name, data in fields.items():
        result.set_data({name: PixelData(data=torch.as_tensor(data))})
    return result


def depth_sample(valid_rows=slice(4, None)):
    rng = np.random.default_rng(1)
    label = rng.uniform(1, 9, (1, HEIGHT, WIDTH)).astype(np.float32)
    mask = np.zeros((1, HEIGHT, WIDTH), bool)
    mask[:, valid_rows] = True
    pred = rng.random((1, HEIGHT, WIDTH)).astype(np.float32)
    return sample(pred_depth_map=pred, gt_depth_map=label,
                  gt_depth_mask=mask), pred[0], label[0], mask[0]


def normals(angle):
    """A plane turned about the vertical axis, (3, H, W)."""
    normal = np.array([np.sin(np.radians(angle)), 0,
                       np.cos(np.radians(angle))], np.float32)
    return np.broadcast_to(normal[:, None, None],
                           (3, HEIGHT, WIDTH)).copy()


def drawn(codec, image, data_sample, **kwargs):
    """Panels of the picture, cut apart, without the captions."""
    visualizer = DenseLocalVisualizer(codec=codec)
    visualizer.add_datasample('x', image, data_sample, **kwargs)
    picture = visualizer.get_image()
    height, width = picture.shape[:2]
    assert height == HEIGHT + STRIP and width % WIDTH == 0
    return np.split(picture[STRIP:], width // WIDTH, axis=1)


def test_depth_panels_are_image_spectral_colours_and_error(image):
    data_sample, pred, label, mask = depth_sample()
    panels = drawn(DEPTH, image, data_sample)
    assert len(panels) == 4
    np.testing.assert_array_equal(panels[0], image)
    np.testing.assert_array_equal(
        panels[1], colormaps['Spectral'](pred, bytes=True)[..., :3])

    low, high = np.quantile(label[mask], (.02, .98))
    shown = colormaps['Spectral'](
        np.clip((label - low) / (high - low), 0, 1), bytes=True)[..., :3]
    # the codec goes over [-1, 1] in float32: a neighbouring entry at most
    np.testing.assert_allclose(panels[2][4:].astype(int), shown[4:], atol=6)

    design = np.stack([pred[mask], np.ones(mask.sum())], 1).astype(float)
    scale, shift = np.linalg.lstsq(design, label[mask], rcond=None)[0]
    error = np.abs(scale * pred + shift - label) / label / .25
    np.testing.assert_allclose(
        panels[3][4:].astype(int),
        colormaps['viridis'](error, bytes=True)[4:, :, :3], atol=3)
    for panel in panels[2:]:
        assert not panel[:4].any()
        assert panel[4:].any(axis=2).all()


def test_a_near_pixel_is_red_and_a_far_one_blue(image):
    pred = np.zeros((1, HEIGHT, WIDTH), np.float32)
    pred[..., WIDTH // 2:] = 1
    panel = drawn(DEPTH, image, sample(pred_depth_map=pred))[1]
    red, blue = panel[0, 0].astype(int), panel[0, -1].astype(int)
    assert red[0] > red[2] + 50 and blue[2] > blue[0] + 50


def test_normal_error_is_the_angle(image):
    data_sample = sample(pred_normal_map=normals(-10),
                         gt_normal_map=normals(20))
    _, pred, label, error = drawn(NORMAL, image, data_sample)
    for panel, angle in ((pred, -10), (label, 20)):
        expected = (normals(angle).transpose(1, 2, 0) + 1) / 2 * 255
        np.testing.assert_allclose(panel, expected, atol=1)
    # 30 of 45 degrees
    expected = np.array(colormaps['viridis'](30 / 45)[:3]) * 255
    np.testing.assert_allclose(error, np.broadcast_to(expected, error.shape),
                               atol=2)


def test_mattes_lie_over_a_checkerboard(image):
    alpha = np.zeros((1, HEIGHT, WIDTH), np.float32)
    alpha[:, :, 20:40] = .5
    alpha[:, :, 40:] = 1
    label = np.ones_like(alpha)
    _, pred, whole, error = drawn(
        MATTE, image, sample(pred_alpha_map=alpha, gt_alpha_map=label))
    np.testing.assert_array_equal(whole, image)
    np.testing.assert_array_equal(pred[:, 40:], image[:, 40:])
    board = pred[:, :20]
    greys = np.unique(board.reshape(-1, 3), axis=0)
    assert len(greys) == 2 and (np.ptp(greys, axis=1) == 0).all()
    # neighbouring squares differ
    np.testing.assert_array_equal(board[:4, 4:8] == board[:4, :4], False)
    np.testing.assert_array_equal(board[4:8, :4] == board[:4, :4], False)
    half = pred[0, 20:24].astype(int)
    assert (np.abs(2 * half - image[0, 20:24] - board[0, 4:8]) <= 1).all(
    ) or (np.abs(2 * half - image[0, 20:24] - board[0, :4]) <= 1).all()
    ends = np.array(colormaps['viridis'].colors)[[255, 0]] * 255
    np.testing.assert_allclose(error[0, [0, -1]], ends, atol=1)


def test_classes_have_no_error_panel_and_unlabelled_is_black(image):
    ids = np.full((1, HEIGHT, WIDTH), 3)
    label = ids.copy()
    label[:, :5] = 255
    panels = drawn(CLASSES, image, sample(pred_sem_seg=ids,
                                          gt_sem_seg=label))
    assert len(panels) == 3
    assert (panels[1] == (255, 187, 120)).all()
    assert (panels[2][5:] == (255, 187, 120)).all()
    assert not panels[2][:5].any()


@pytest.mark.parametrize('kwargs, count', [
    (dict(), 4), (dict(draw_gt=False), 2), (dict(draw_pred=False), 2)])
def test_what_is_not_wanted_is_not_drawn(image, kwargs, count):
    data_sample = depth_sample()[0]
    panels = drawn(DEPTH, image, data_sample, **kwargs)
    assert len(panels) == count
    everything = drawn(DEPTH, image, data_sample)
    np.testing.assert_array_equal(
        panels[1], everything[2 if kwargs.get('draw_pred') is False else 1])


def test_an_unlabelled_sample_has_image_and_prediction(image):
    data_sample = depth_sample()[0]
    del data_sample.gt_depth_map
    assert len(drawn(DEPTH, image, data_sample)) == 2


@pytest.mark.parametrize('with_pred', [True, False])
def test_the_image_is_brought_to_the_size_of_the_maps(image, with_pred):
    large = np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)
    data_sample = depth_sample()[0]
    panels = drawn(DEPTH, large, data_sample, draw_pred=with_pred)
    # bilinear between the two copies of a pixel is that pixel
    np.testing.assert_array_equal(panels[0], image)


def test_half_precision_and_numpy_are_drawn_alike(image):
    pred = np.linspace(0, 1, 5)[None, None].repeat(HEIGHT, 1).repeat(
        WIDTH // 5, 2).astype(np.float32)
    expected = drawn(DEPTH, image, sample(pred_depth_map=pred))[1]
    half = sample(pred_depth_map=torch.as_tensor(pred).bfloat16())
    np.testing.assert_array_equal(drawn(DEPTH, image, half)[1], expected)
    array = SegDataSample(pred_depth_map=PixelData(data=pred))
    np.testing.assert_array_equal(drawn(DEPTH, image, array)[1], expected)


def test_captions_and_colour_scale_are_above_the_panels(image):
    visualizer = DenseLocalVisualizer(codec=DEPTH)
    data_sample = depth_sample()[0]
    visualizer.add_datasample('x', image, data_sample)
    strips = np.split(visualizer.get_image()[:STRIP], 4, axis=1)
    for strip in strips:
        assert strip.min() < 150 and np.median(strip) == 255
        # letters stay inside their panel
        assert (strip[:-3, -1] == 255).all()
    assert len({strip.tobytes() for strip in strips}) == 4
    scale = strips[3][-1] / 255
    viridis = np.array(colormaps['viridis'].colors)
    np.testing.assert_allclose(scale[[0, -1]], viridis[[0, 255]], atol=.01)
    assert (strips[2][-1] == 255).all()
    captions = [caption for _, caption, _ in visualizer.draw_panels(
        image, data_sample)]
    assert captions == ['image', 'prediction', 'label',
                        'relative error 0-25%']


def test_files_windows_and_back_ends(image, tmp_path, monkeypatch):
    visualizer = DenseLocalVisualizer(codec=DEPTH)
    calls = []
    monkeypatch.setattr(visualizer, 'add_image',
                        lambda *args: calls.append(('add', args[0], args[2])))
    monkeypatch.setattr(
        visualizer, 'show',
        lambda picture, win_name, wait_time: calls.append(
            ('show', win_name, wait_time)))
    data_sample = depth_sample()[0]
    path = str(tmp_path / 'a' / 'x.png')
    visualizer.add_datasample('x', image, data_sample, out_file=path)
    assert calls == []
    np.testing.assert_array_equal(cv2.imread(path)[..., ::-1],
                                  visualizer.get_image())
    visualizer.add_datasample('y', image, data_sample, show=True,
                              wait_time=2, step=5)
    assert calls == [('show', 'y', 2), ('add', 'y', 5)]


def test_mmsegs_hook_writes_a_picture(image, tmp_path):
    from mmseg.engine.hooks import SegVisualizationHook
    cv2.imwrite(str(tmp_path / 'frame.png'), image[..., ::-1])
    visualizer = VISUALIZERS.build(dict(
        type='genpercept_mm.DenseLocalVisualizer', name='for the hook',
        codec=NORMAL, vis_backends=[dict(type='LocalVisBackend')],
        save_dir=str(tmp_path)))
    hook = SegVisualizationHook(draw=True, interval=1)
    hook._visualizer = visualizer
    output = sample(pred_normal_map=normals(5), gt_normal_map=normals(5))
    output.set_metainfo(dict(img_path=str(tmp_path / 'frame.png')))
    hook.after_val_iter(SimpleNamespace(iter=7), 0, {}, [output])
    written = list(tmp_path.glob('**/val_frame.png_7.png'))
    assert len(written) == 1
    picture = cv2.imread(str(written[0]))[..., ::-1]
    assert picture.shape == (HEIGHT + STRIP, 4 * WIDTH, 3)
    np.testing.assert_array_equal(picture[STRIP:, :WIDTH], image)
    expected = (normals(5).transpose(1, 2, 0) + 1) / 2 * 255
    np.testing.assert_allclose(picture[STRIP:, WIDTH:2 * WIDTH], expected,
                               atol=1)


def test_without_a_codec_pictures_are_mmsegs(image):
    from mmseg.visualization import SegLocalVisualizer
    data_sample = sample(pred_sem_seg=np.full((1, HEIGHT, WIDTH), 2))
    ours, stock = DenseLocalVisualizer(), SegLocalVisualizer()
    for visualizer in (ours, stock):
        visualizer.add_datasample('x', image, data_sample)
    np.testing.assert_array_equal(ours.get_image(), stock.get_image())


def test_a_built_codec_is_taken_as_it_is():
    codec = MatteCodec()
    assert DenseLocalVisualizer(codec=codec).codec is codec


@pytest.mark.parametrize('codec, data_sample, kwargs, message', [
    (None, sample(pred_normal_map=normals(0)), {}, 'nothing to draw without '
     r"a codec; .*\['pred_normal_map'\].*visualizer.codec"),
    (None, None, {}, 'nothing to draw without a codec'),
    (None, sample(pred_sem_seg=np.zeros((1, 4, 4))), dict(draw_pred=False),
     'nothing to draw without a codec'),
    (DEPTH, None, {}, "'pred_depth_map' or 'gt_depth_map'"),
    (DEPTH, sample(pred_depth_map=np.zeros((1, 4, 4))),
     dict(draw_pred=False), "nothing to draw beside .*'gt_depth_map'"),
    (DEPTH, sample(pred_normal_map=normals(0), pred_sem_seg=normals(0)), {},
     r"'pred_depth_map' is not .*\['pred_normal_map', 'pred_sem_seg'\]; set "
     "visualizer.codec to the model's"),
    (DEPTH, sample(pred_depth_map=np.zeros((1, 4, 4)),
                   gt_depth_map=np.ones((1, 4, 5))), {},
     r'pred_depth_map has .*\(4, 4\), but gt_depth_map has \(4, 5\)'),
])
def test_errors_name_the_remedy(image, codec, data_sample, kwargs, message):
    with pytest.raises(ValueError, match=f'DenseLocalVisualizer: .*{message}'):
        DenseLocalVisualizer(codec=codec).add_datasample(
            'x', image, data_sample, **kwargs)


def test_wide_panels_are_drawn_smaller(tmp_path):
    """A checkerboard of single pixels averages to grey."""
    image = np.indices((20, 64)).sum(0)[..., None].repeat(3, 2) % 2 * 255
    sample = SegDataSample()
    sample.set_data(dict(pred_depth_map=PixelData(
        data=torch.zeros(1, 20, 64))))
    path = str(tmp_path / 'picture.png')
    DenseLocalVisualizer(
        codec=AffineDepthCodec(), max_width=32,
        vis_backends=None).add_datasample(
            'a', image.astype(np.uint8), sample, out_file=path)
    drawn = cv2.imread(path)
    assert drawn.shape[1] == 2 * 32
    # below the caption
    assert np.abs(drawn[-10:, :32].astype(int) - 127.5).max() <= 1


@pytest.mark.parametrize('name, kind', [
    ('a.png', 'PNG'), ('new/folder/a.jpg', 'JPEG'), ('a.JPEG', 'JPEG'),
    ('a.webp', 'WEBP')])
def test_files_have_the_format_of_their_suffix(image, tmp_path, name, kind):
    visualizer = DenseLocalVisualizer(codec=DEPTH)
    path = tmp_path / name
    visualizer.add_datasample('x', image, depth_sample()[0],
                              out_file=str(path))
    written = Image.open(path)
    assert written.format == kind
    difference = np.asarray(written) - visualizer.get_image().astype(float)
    # mean, as JPEG's blocks ring at letters and noise
    assert np.abs(difference).mean() < (.1 if kind == 'PNG' else 40)


def test_files_that_cannot_be_written_are_an_error(image, tmp_path):
    (tmp_path / 'a').write_text('no folder')
    visualizer = DenseLocalVisualizer(codec=DEPTH)
    for name, error in (('a/x.png', OSError), ('x.what', ValueError)):
        with pytest.raises(error, match=name[-5:]):
            visualizer.add_datasample('x', image, depth_sample()[0],
                                      out_file=str(tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == ['a']


def test_names_of_data_sets_with_slashes_become_folders(image, tmp_path):
    visualizer = DenseLocalVisualizer(
        'slashes', codec=DEPTH, vis_backends=[dict(type='LocalVisBackend')],
        save_dir=str(tmp_path))
    visualizer.add_datasample('test_my/set_b/x', image, depth_sample()[0])
    path = tmp_path / 'vis_data/vis_image/test_my/set_b/x_0.png'
    np.testing.assert_array_equal(
        np.asarray(Image.open(path)), visualizer.get_image())
