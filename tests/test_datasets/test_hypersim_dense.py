import os

import h5py
import numpy as np
import pytest
from conftest import write_hypersim  # noqa: I001

from genpercept_mm.datasets import HypersimDenseDataset
from genpercept_mm.datasets.hypersim_layout import frame_path

SIZE = (12, 16)
PIPELINE = [
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


def geometry(root, scene, frame, kind):
    return frame_path(root, scene, 'cam_00', frame, kind)


def write(path, array):
    with h5py.File(path, 'w') as file:
        file['dataset'] = array


@pytest.fixture
def root(tmp_path):
    """Distance 2 m, 66 m in one pixel and NaN in one; normals along +z of
    length 2, one of them turned away and one zero."""
    root = write_hypersim(str(tmp_path / 'h'), SIZE, frames=2)
    for scene in ('ai_001_001', 'ai_002_001', 'ai_003_001'):
        for frame in range(2):
            distance = np.full(SIZE, 2, np.float16)
            distance[4, 4], distance[5, 5] = 90, np.nan
            normals = np.zeros((*SIZE, 3), np.float16)
            normals[..., 2] = 2
            normals[6, 6] = -normals[6, 6]
            normals[7, 7] = 0
            write(geometry(root, scene, frame, 'depth_meters'), distance)
            write(geometry(root, scene, frame, 'normal_cam'), normals)
    return root


def test_all_labels_of_a_frame(root):
    dataset = HypersimDenseDataset(
        'val', labels=LABELS, data_root=root, pipeline=PIPELINE)
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
    invalid = np.zeros(SIZE, bool)
    invalid[0] = invalid[4, 4] = invalid[5, 5] = True
    np.testing.assert_array_equal(mask.numpy(), ~invalid)
    assert depth[5, 5] == 0 and (depth[0] == 0).all() and depth[4, 4] > 65
    normals = sample.gt_normal_map.data.numpy()
    invalid = np.zeros(SIZE, bool)
    invalid[0] = invalid[7, 7] = True
    np.testing.assert_array_equal(
        sample.gt_normal_mask.data[0].numpy(), ~invalid)
    assert (normals[2][~invalid] == 1).all()  # unit, the turned one as well
    assert (normals[:, invalid] == 0).all() and (normals[:2] == 0).all()
    assert (sample.gt_sem_seg.data[0, 0] == 255).all()
    assert set(np.unique(sample.gt_sem_seg.data[0, 1:])) == {0, 1, 2, 3}


def test_only_the_labels_asked_for_are_listed(root):
    for frame in range(2):
        os.remove(geometry(root, 'ai_001_001', frame, 'normal_cam'))
    info = HypersimDenseDataset('train', data_root=root).get_data_info(0)
    assert info['depth_path'].endswith('frame.0000.depth_meters.hdf5')
    assert not {'normal_path', 'seg_map_path'} & set(info)
    with pytest.raises(FileNotFoundError, match='HypersimDenseDataset: 2 of 2 '
                       'samples.*frame.0000.normal_cam.hdf5'):
        HypersimDenseDataset('train', labels='normal', data_root=root)


@pytest.mark.parametrize('place', [
    'metadata_camera_parameters.csv',
    'contrib/mikeroberts3000/metadata_camera_parameters.csv', 'own.csv'])
def test_cameras_of_scenes(root, place):
    path = os.path.join(root, place)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    values = ','.join(str(value) for row in MATRIX for value in row)
    with open(path, 'w') as file:
        file.write(f'{HEADER}\nai_001_001,{values}\n')
    more = dict(camera_file='own.csv') if place == 'own.csv' else {}
    dataset = HypersimDenseDataset(
        'train', data_root=root, pipeline=PIPELINE[:2], **more)
    assert dataset.get_data_info(0)['camera_from_uv'] == MATRIX
    # u = 1 / 16, v = -1 / 12 at row 6, column 8
    ray = np.array(MATRIX) @ [1 / 16, -1 / 12, 1]
    assert dataset[0]['gt_depth_map'][6, 8] == pytest.approx(
        2 / np.linalg.norm(ray), rel=1e-6)
    with pytest.raises(ValueError, match='no row for scene ai_002_001'):
        HypersimDenseDataset('val', data_root=root, **more)


def test_missing_camera_file(root):
    with pytest.raises(FileNotFoundError, match="camera_file '.*no.csv' does "
                       'not exist; it is contrib/mikeroberts3000'):
        HypersimDenseDataset('val', data_root=root, camera_file='no.csv')


def test_frames_without_entity_ids_keep_all_finite_pixels(root):
    os.remove(geometry(root, 'ai_001_001', 0, 'render_entity_id'))
    dataset = HypersimDenseDataset(
        'train', data_root=root, pipeline=PIPELINE[:2])
    assert dataset[0]['gt_depth_mask'][0].all()
    assert not dataset[1]['gt_depth_mask'][0].any()


def test_images_from_radiance(root):
    info = HypersimDenseDataset(
        'train', data_root=root, image='color').get_data_info(1)
    assert info['img_path'].endswith(
        'scene_cam_00_final_hdf5/frame.0001.color.hdf5')


@pytest.mark.parametrize('argument', ['image', 'normal'])
def test_unknown_choices(root, argument):
    with pytest.raises(ValueError, match=f'{argument} must be one of'):
        HypersimDenseDataset('train', data_root=root, **{argument: 'jpg'})


def test_truncated_file_is_named(root):
    path = geometry(root, 'ai_001_001', 0, 'depth_meters')
    with open(path, 'r+b') as file:
        file.truncate(100)
    with pytest.raises(OSError, match=f'LoadDepth: Hypersim: {path} cannot '
                       'be read as HDF5'):
        HypersimDenseDataset(
            'train', data_root=root, pipeline=PIPELINE[:2])[0]
