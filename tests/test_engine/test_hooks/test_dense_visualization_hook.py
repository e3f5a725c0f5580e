from types import SimpleNamespace
from unittest.mock import MagicMock

import cv2
import numpy as np
import pytest

from genpercept_mm.codecs import MatteCodec
from genpercept_mm.datasets.io.hypersim_io import frame_path, read_color
from genpercept_mm.engine import DenseVisualizationHook
from genpercept_mm.registry import HOOKS

from mmseg.structures import SegDataSample  # isort: skip


@pytest.fixture(autouse=True)
def visualizer():
    """mmseg's hook asks for the one that the Runner has made."""
    from mmengine.visualization import Visualizer
    return Visualizer.get_instance('dense_visualization_hook')


@pytest.mark.parametrize('kind', ['tonemap', 'color'])
def test_pictures_of_all_scenes_get_names_of_their_own(hypersim_root, kind):
    hook = DenseVisualizationHook(draw=True, interval=1)
    hook._visualizer = MagicMock()
    paths = [frame_path(hypersim_root, f'ai_00{i}_001', 'cam_00', 0, kind)
             for i in (1, 2, 3)]
    hook.after_val_iter(
        SimpleNamespace(iter=7), 0, {},
        [SegDataSample(metainfo=dict(img_path=path)) for path in paths])
    calls = hook._visualizer.add_datasample.call_args_list
    assert [call.args[0] for call in calls] == [
        f'val_ai_00{i}_001_cam_00_fr0000' for i in (1, 2, 3)]
    for call, path in zip(calls, paths):
        expected = read_color(frame_path(
            hypersim_root, *path.split('/images')[0].split('/')[-1:],
            'cam_00', 0, 'color'))
        assert call.args[1].shape == expected.shape == (48, 64, 3)
        if kind == 'color':
            np.testing.assert_array_equal(call.args[1], expected)


def test_every_interval_and_only_when_drawing(hypersim_root):
    path = frame_path(hypersim_root, 'ai_001_001', 'cam_00', 0, 'tonemap')
    drawn = []
    for draw in (True, False):
        hook = DenseVisualizationHook(draw=draw, interval=2)
        hook._visualizer = MagicMock()
        for index in range(4):
            hook.after_test_iter(
                SimpleNamespace(iter=0), index, {},
                [SegDataSample(metainfo=dict(img_path=path))])
        drawn.append(hook._visualizer.add_datasample.call_count)
    assert drawn == [2, 0]


def test_samples_of_several_sets_are_told_apart_and_cut(tmp_path):
    """KITTI repeats file names from drive to drive, and is cropped."""
    image = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    path = str(tmp_path / '0000000069.png')
    cv2.imwrite(path, image[..., ::-1])
    hook = DenseVisualizationHook(draw=True, interval=1)
    hook._visualizer = MagicMock()
    hook.after_test_iter(SimpleNamespace(iter=0), 0, {}, [
        SegDataSample(metainfo=dict(
            img_path=path, dataset_name='kitti', crop_box=(1, 9, 2, 11),
            sample_name=f'drive_{i}/0000000069')) for i in (1, 2)])
    calls = hook._visualizer.add_datasample.call_args_list
    assert [call.args[0] for call in calls] == [
        f'test_kitti_drive_{i}/0000000069' for i in (1, 2)]
    np.testing.assert_array_equal(calls[0].args[1], image[1:9, 2:11])


@pytest.fixture
def folders(tmp_path):
    """One image in each of two folders, with the same name."""
    paths = []
    for name in ('a', 'b'):
        (tmp_path / name).mkdir()
        paths.append(str(tmp_path / name / '0.png'))
        cv2.imwrite(paths[-1], np.zeros((4, 5, 3), np.uint8))
    return paths


def shown(path, **meta):
    return SegDataSample(metainfo=dict(img_path=path, **meta))


def test_two_images_never_share_a_picture(folders):
    """Files of a data set that does not name its samples."""
    hook = DenseVisualizationHook(draw=True, interval=1)
    hook._visualizer = MagicMock()
    runner, (first, second) = SimpleNamespace(iter=3), folders
    # every validation draws the same images again
    for _ in range(2):
        hook.after_val_iter(runner, 0, {}, [shown(first)])
    # and a test may have others, whose pictures are named otherwise
    hook.after_test_iter(runner, 0, {}, [shown(second)])
    calls = hook._visualizer.add_datasample.call_args_list
    assert [call.args[0] for call in calls] == ['val_0', 'val_0', 'test_0']
    with pytest.raises(ValueError, match=(
            f'DenseVisualizationHook: {second} and {first} would both .*'
            "sample_name")):
        hook.after_val_iter(runner, 1, {}, [shown(second)])


def test_pictures_keep_the_folders_of_samples(folders, tmp_path):
    """Through mmengine's back end, which names the iteration."""
    from mmengine.visualization import Visualizer
    hook = DenseVisualizationHook(draw=True, interval=1)
    hook._visualizer = Visualizer(
        vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path))
    hook._visualizer.add_datasample = (
        lambda name, image, step, **kwargs: hook._visualizer.add_image(
            name, image, step))
    hook.after_test_iter(SimpleNamespace(iter=0), 0, {}, [
        shown(path, dataset_name='my/set', sample_name=f'{name}/0')
        for name, path in zip('ab', folders)])
    pictures = tmp_path / 'vis_data/vis_image/test_my/set_{}/0_0.png'
    for name in 'ab':
        assert cv2.imread(str(pictures).format(name)).shape == (4, 5, 3)


@pytest.mark.parametrize('own', [None, MatteCodec()])
def test_the_visualizer_gets_the_codec_of_the_model(own):
    hook = DenseVisualizationHook()
    model = SimpleNamespace(codec=MatteCodec())
    hook._visualizer = SimpleNamespace(codec=own)
    hook.before_run(SimpleNamespace(model=model))
    assert hook._visualizer.codec is (own or model.codec)


def test_hosts_models_and_visualizers_stay_as_they_are():
    hook = DenseVisualizationHook()
    hook._visualizer = SimpleNamespace()
    hook.before_run(SimpleNamespace(model=SimpleNamespace(
        codec=MatteCodec())))
    assert not hasattr(hook._visualizer, 'codec')
    hook._visualizer.codec = None
    hook.before_run(SimpleNamespace(model=SimpleNamespace()))
    assert hook._visualizer.codec is None


def test_old_configs_find_it_under_its_first_name():
    hook = HOOKS.build(dict(
        type='genpercept_mm.SceneVisualizationHook', draw=True, interval=1))
    assert type(hook) is DenseVisualizationHook
