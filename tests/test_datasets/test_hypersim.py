import os
import os.path as osp

import cv2
import h5py
import numpy as np
import pytest
import torch
from conftest import write_frame, write_hypersim  # noqa: I001

from genpercept_mm.datasets import HypersimDataset, HypersimDenseDataset
from genpercept_mm.datasets.io.hypersim_io import frame_path

PIPELINE = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.LoadHypersimSemantic'),
    dict(type='mmseg.PackSegInputs')
]
DENSE_SIZE = (12, 16)
DENSE_PIPELINE = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.LoadDepth'),
    dict(type='genpercept_mm.LoadNormal'),
    dict(type='genpercept_mm.LoadHypersimSemantic'),
    dict(type='genpercept_mm.PackDenseInputs'),
]
LABELS = ('depth', 'normal', 'seg')
MATRIX = [[.5, 0, .1], [0, .4, -.2], [0, 0, -1.]]
HEADER = ','.join(['scene_name'] + [
    f'M_cam_from_uv_{i}{j}' for i in range(3) for j in range(3)])


def build(root, split='train', **kwargs):
    return HypersimDataset(
        split=split, data_root=root, pipeline=PIPELINE, **kwargs)


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_lists_the_public_frames_of_a_split(hypersim_root, split):
    dataset = build(hypersim_root, split)
    scene = dict(train='ai_001_001', val='ai_002_001', test='ai_003_001')
    assert [osp.relpath(dataset[i]['data_samples'].img_path, hypersim_root)
            for i in range(len(dataset))] == [
        f'{scene[split]}/images/scene_cam_00_final_preview/'
        f'frame.{i:04d}.tonemap.jpg' for i in range(3)]


def test_content_of_a_frame(hypersim_root, tmp_path):
    picture, ids = write_frame(str(tmp_path), 'ai_001_001', 0)
    sample = build(hypersim_root)[0]
    label = sample['data_samples'].gt_sem_seg.data[0].numpy()
    assert (label[0] == 255).all() and (ids[0] == -1).all()
    np.testing.assert_array_equal(label[1:], ids[1:] - 1)
    # BGR as mmcv loads it; JPEG at quality 100 is close, not equal
    difference = sample['inputs'].numpy()[::-1].transpose(1, 2, 0) - (
        picture.astype(int))
    assert np.abs(difference).mean() < 4


def test_radiance_gives_the_tone_mapped_image(hypersim_root):
    """Against the formula, written out per pixel."""
    sample = build(hypersim_root, image='color')[0]
    path = sample['data_samples'].img_path
    assert path.endswith('frame.0000.color.hdf5')
    with h5py.File(path) as file:
        color = file['dataset'][()].astype(np.float64)
    with h5py.File(frame_path(hypersim_root, 'ai_001_001', 'cam_00', 0,
                              'render_entity_id')) as file:
        valid = file['dataset'][()] != -1
    brightness = sorted(
        0.3 * r + 0.59 * g + 0.11 * b for r, g, b in color[valid])
    rank = 0.9 * (len(brightness) - 1)
    low = int(rank)
    percentile = brightness[low] + (rank - low) * (
        brightness[low + 1] - brightness[low])
    expected = np.clip((0.8**2.2 / percentile * color)**(1 / 2.2), 0, 1) * 255
    image = sample['inputs'].numpy()[::-1].transpose(1, 2, 0)
    assert np.abs(image - expected).max() <= 1
    # values are cut, not rounded
    assert (image <= expected + 1e-3).all()


def test_classes_are_nyu40():
    classes = HypersimDataset.METAINFO['classes']
    palette = HypersimDataset.METAINFO['palette']
    assert len(classes) == len(palette) == 40
    assert (classes[0], classes[21], classes[39]) == (
        'wall', 'ceiling', 'otherprop')
    assert palette[34] == [96, 207, 209]  # lamp
    assert len({tuple(color) for color in palette}) == 40


def test_subset_of_classes_ignores_the_others(hypersim_root):
    dataset = build(hypersim_root, metainfo=dict(classes=('floor', 'wall')))
    label = dataset[0]['data_samples'].gt_sem_seg.data[0]
    full = build(hypersim_root)[0]['data_samples'].gt_sem_seg.data[0]
    assert torch.equal(label == 1, full == 0)
    assert torch.equal(label == 0, full == 1)
    assert torch.equal(label == 255, full > 1)


def test_missing_root_names_tree_and_mini_config(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        build(str(tmp_path / 'nowhere'))
    message = str(error.value)
    assert str(tmp_path / 'nowhere') in message
    assert 'metadata_images_split_scene_v1.csv' in message
    assert 'scene_cam_XX_geometry_hdf5/frame.IIII.semantic.hdf5' in message
    assert 'configs/mini/genpercept_upernet_mini-hypersim.py' in message


def test_missing_file_is_found_at_start(own_hypersim_root):
    path = frame_path(own_hypersim_root, 'ai_001_001', 'cam_00', 1,
                      'semantic')
    os.remove(path)
    with pytest.raises(FileNotFoundError, match='1 of 3 samples lack '
                       'files; the first is scene ai_001_001, camera cam_00, '
                       f'frame 1: {path}'):
        build(own_hypersim_root)
    assert len(build(own_hypersim_root, missing='skip')) == 2
    assert len(build(own_hypersim_root, 'val')) == 3


def test_truncated_file_names_the_frame(own_hypersim_root):
    path = frame_path(own_hypersim_root, 'ai_001_001', 'cam_00', 1,
                      'semantic')
    with open(path, 'r+b') as file:
        file.truncate(osp.getsize(path) // 2)
    dataset = build(own_hypersim_root)
    assert dataset[0]
    with pytest.raises(OSError, match='scene ai_001_001, camera cam_00, '
                       f'frame 1: Hypersim: {path} cannot be read as HDF5'):
        dataset[1]


def test_unreadable_image_names_the_frame(own_hypersim_root):
    path = frame_path(own_hypersim_root, 'ai_001_001', 'cam_00', 2,
                      'tonemap')
    with open(path, 'wb') as file:
        file.write(b'no picture')
    with pytest.raises(OSError, match='scene ai_001_001, camera cam_00, '
                       f'frame 2: {path} cannot be read as an image'):
        build(own_hypersim_root)[2]


def test_label_out_of_range_and_other_size_are_refused(own_hypersim_root):
    path = frame_path(own_hypersim_root, 'ai_001_001', 'cam_00', 0,
                      'semantic')
    with h5py.File(path, 'r+') as file:
        file['dataset'][3, 4] = 41
    with pytest.raises(ValueError, match=r'frame 0: .* contains the label id '
                       r'41; NYU40 ids are 1..40'):
        build(own_hypersim_root)[0]
    path = frame_path(own_hypersim_root, 'ai_001_001', 'cam_00', 1,
                      'tonemap')
    cv2.imwrite(path, np.zeros((10, 12, 3), np.uint8))
    with pytest.raises(ValueError, match=r'frame 1: image .* is \(10, 12\) '
                       r'and label .* is \(48, 64\) \(H, W\)'):
        build(own_hypersim_root)[1]


def test_bad_csv(own_hypersim_root):
    path = osp.join(own_hypersim_root, 'metadata_images_split_scene_v1.csv')
    with pytest.raises(ValueError, match="no public frame of split 'trian'"):
        build(own_hypersim_root, 'trian')
    with open(path) as file:
        text = file.read()
    with open(path, 'w') as file:
        file.write(text.replace('split_partition_name', 'partition'))
    with pytest.raises(ValueError, match=r"lacks the column\(s\) "
                       r"\['split_partition_name'\]"):
        build(own_hypersim_root)
    os.remove(path)
    with pytest.raises(FileNotFoundError, match='Copy it there, or set '
                       'ann_file'):
        build(own_hypersim_root)


@pytest.mark.parametrize('argument', ['image', 'missing'])
def test_bad_arguments(argument):
    with pytest.raises(ValueError, match=f"{argument} must be .* got 'x'"):
        build('unused', **{argument: 'x'})


def geometry(root, scene, frame, kind):
    return frame_path(root, scene, 'cam_00', frame, kind)


def write(path, array):
    with h5py.File(path, 'w') as file:
        file['dataset'] = array


@pytest.fixture
def dense_root(tmp_path):
    """Distance 2 m, 66 m in one pixel and NaN in one; normals along +z of
    length 2, one of them turned away and one zero."""
    root = write_hypersim(str(tmp_path / 'h'), DENSE_SIZE, frames=2)
    for scene in ('ai_001_001', 'ai_002_001', 'ai_003_001'):
        for frame in range(2):
            distance = np.full(DENSE_SIZE, 2, np.float16)
            distance[4, 4], distance[5, 5] = 90, np.nan
            normals = np.zeros((*DENSE_SIZE, 3), np.float16)
            normals[..., 2] = 2
            normals[6, 6] = -normals[6, 6]
            normals[7, 7] = 0
            write(geometry(root, scene, frame, 'depth_meters'), distance)
            write(geometry(root, scene, frame, 'normal_cam'), normals)
    return root


def test_all_labels_of_a_frame(dense_root):
    dataset = HypersimDenseDataset(
        'val', labels=LABELS, data_root=dense_root, pipeline=DENSE_PIPELINE)
    assert len(dataset) == 2
    sample = dataset[1]['data_samples']
    assert (sample.dataset_name, sample.sample_name) == (
        'hypersim', 'ai_002_001_cam_00_fr0001')
    depth, mask = sample.gt_depth_map.data[0], sample.gt_depth_mask.data[0]
    # standard camera at the pixel (row 6, column 8) of 12 x 16
    focal = 8 / np.tan(np.pi / 6)
    assert depth[6, 8] == pytest.approx(
        2 * focal / np.sqrt(focal**2 + .5**2 + .5**2), rel=1e-6)
    # row 0 has entity -1 in the fixture
    invalid = np.zeros(DENSE_SIZE, bool)
    invalid[0] = invalid[4, 4] = invalid[5, 5] = True
    np.testing.assert_array_equal(mask.numpy(), ~invalid)
    assert depth[5, 5] == 0 and (depth[0] == 0).all() and depth[4, 4] > 65
    normals = sample.gt_normal_map.data.numpy()
    invalid = np.zeros(DENSE_SIZE, bool)
    invalid[0] = invalid[7, 7] = True
    np.testing.assert_array_equal(
        sample.gt_normal_mask.data[0].numpy(), ~invalid)
    assert (normals[2][~invalid] == 1).all()  # unit, the turned one as well
    assert (normals[:, invalid] == 0).all() and (normals[:2] == 0).all()
    assert (sample.gt_sem_seg.data[0, 0] == 255).all()
    assert set(np.unique(sample.gt_sem_seg.data[0, 1:])) == {0, 1, 2, 3}


def test_only_the_labels_asked_for_are_listed(dense_root):
    for frame in range(2):
        os.remove(geometry(dense_root, 'ai_001_001', frame, 'normal_cam'))
    info = HypersimDenseDataset('train', data_root=dense_root).get_data_info(0)
    assert info['depth_path'].endswith('frame.0000.depth_meters.hdf5')
    assert not {'normal_path', 'seg_map_path'} & set(info)
    with pytest.raises(FileNotFoundError, match='HypersimDenseDataset: 2 of 2 '
                       'samples.*frame.0000.normal_cam.hdf5'):
        HypersimDenseDataset('train', labels='normal', data_root=dense_root)


@pytest.mark.parametrize('place', [
    'metadata_camera_parameters.csv',
    'contrib/mikeroberts3000/metadata_camera_parameters.csv', 'own.csv'])
def test_cameras_of_scenes(dense_root, place):
    path = os.path.join(dense_root, place)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    values = ','.join(str(value) for row in MATRIX for value in row)
    with open(path, 'w') as file:
        file.write(f'{HEADER}\nai_001_001,{values}\n')
    more = dict(camera_file='own.csv') if place == 'own.csv' else {}
    dataset = HypersimDenseDataset(
        'train', data_root=dense_root, pipeline=DENSE_PIPELINE[:2], **more)
    assert dataset.get_data_info(0)['camera_from_uv'] == MATRIX
    # u = 1 / 16, v = -1 / 12 at row 6, column 8
    ray = np.array(MATRIX) @ [1 / 16, -1 / 12, 1]
    assert dataset[0]['gt_depth_map'][6, 8] == pytest.approx(
        2 / np.linalg.norm(ray), rel=1e-6)
    with pytest.raises(ValueError, match='no row for scene ai_002_001'):
        HypersimDenseDataset('val', data_root=dense_root, **more)


def test_missing_camera_file(dense_root):
    with pytest.raises(FileNotFoundError, match="camera_file '.*no.csv' does "
                       'not exist; it is contrib/mikeroberts3000'):
        HypersimDenseDataset('val', data_root=dense_root, camera_file='no.csv')


def test_frames_without_entity_ids_keep_all_finite_pixels(dense_root):
    os.remove(geometry(dense_root, 'ai_001_001', 0, 'render_entity_id'))
    dataset = HypersimDenseDataset(
        'train', data_root=dense_root, pipeline=DENSE_PIPELINE[:2])
    assert dataset[0]['gt_depth_mask'][0].all()
    assert not dataset[1]['gt_depth_mask'][0].any()


def test_images_from_radiance(dense_root):
    info = HypersimDenseDataset(
        'train', data_root=dense_root, image='color').get_data_info(1)
    assert info['img_path'].endswith(
        'scene_cam_00_final_hdf5/frame.0001.color.hdf5')


@pytest.mark.parametrize('argument', ['image', 'normal'])
def test_unknown_choices(dense_root, argument):
    with pytest.raises(ValueError, match=f'{argument} must be one of'):
        HypersimDenseDataset(
            'train', data_root=dense_root, **{argument: 'jpg'})


def test_truncated_file_is_named(dense_root):
    path = geometry(dense_root, 'ai_001_001', 0, 'depth_meters')
    with open(path, 'r+b') as file:
        file.truncate(100)
    with pytest.raises(OSError, match=f'LoadDepth: Hypersim: {path} cannot '
                       'be read as HDF5'):
        HypersimDenseDataset(
            'train', data_root=dense_root, pipeline=DENSE_PIPELINE[:2])[0]


def test_both_names_are_one_data_set(dense_root):
    """Without labels, samples are mmseg's; with labels, dense ones."""
    mmseg = HypersimDataset('val', dense_root)
    assert set(mmseg.get_data_info(0)) == {
        'img_path', 'seg_map_path', 'label_map', 'reduce_zero_label',
        'seg_fields', 'sample_idx'}
    assert len(mmseg.metainfo['classes']) == 40
    for labels in LABELS, 'seg', 'depth':
        ours = HypersimDataset('val', dense_root, labels=labels)
        dense = HypersimDenseDataset('val', labels, dense_root)
        assert ours.metainfo == dense.metainfo == {}
        assert [ours.get_data_info(i) for i in range(2)] == [
            dense.get_data_info(i) for i in range(2)]
    with pytest.raises(TypeError, match=r"HypersimDataset: unknown "
                       r"argument\(s\) \['reduce_zero_label'\]"):
        HypersimDataset('val', dense_root, reduce_zero_label=True)
