import os

import h5py
import numpy as np
import pytest

from genpercept_mm.datasets.io import hypersim_io as layout


def test_paths_are_apples():
    assert layout.frame_path('d', 'ai_001_002', 'cam_03', 7, 'semantic') == (
        'd/ai_001_002/images/scene_cam_03_geometry_hdf5/'
        'frame.0007.semantic.hdf5')
    assert layout.frame_path('d', 'ai_001_002', 'cam_03', 7, 'color') == (
        'd/ai_001_002/images/scene_cam_03_final_hdf5/frame.0007.color.hdf5')
    with pytest.raises(ValueError, match="got 'depth'"):
        layout.frame_path('d', 'ai_001_002', 'cam_03', 7, 'depth')


@pytest.mark.parametrize('kind', ['tonemap', 'color', 'semantic'])
def test_frame_of_path_inverts_frame_path(kind):
    frame = layout.Frame('ai_001_002', 'cam_03', 7)
    assert layout.frame_of_path(
        layout.frame_path('/a/b', *frame, kind)) == frame


def test_names_are_unique_across_scenes():
    names = {layout.frame_name(layout.frame_path('d', s, c, f, 'tonemap'))
             for s in ('ai_001_001', 'ai_001_002')
             for c in ('cam_00', 'cam_01') for f in (0, 1)}
    assert len(names) == 8
    assert 'ai_001_002_cam_01_fr0001' in names
    assert layout.frame_name('x/ADE_val_1.jpg') == 'ADE_val_1'


def test_tone_map_of_dark_and_invalid_frames():
    color = np.full((2, 2, 3), 1e-6)
    assert not layout.tone_map(color).any()  # percentile under 1e-4
    entity = np.full((2, 2), -1)
    # nothing valid: scale 1
    assert (layout.tone_map(np.full((2, 2, 3), 0.5), entity) == int(
        0.5**(1 / 2.2) * 255)).all()
    assert layout.tone_map(np.full((2, 2, 3), np.nan)).max() == 0


def test_write_is_all_or_nothing(tmp_path, monkeypatch):
    path = str(tmp_path / 'a/x.hdf5')
    layout.write_hdf5(path, np.arange(6).reshape(2, 3))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file['dataset'][()],
                                      [[0, 1, 2], [3, 4, 5]])

    def fail(*args, **kwargs):
        raise OSError('disk full')

    monkeypatch.setattr(h5py.File, 'create_dataset', fail)
    with pytest.raises(OSError, match='disk full'):
        layout.write_hdf5(path, np.zeros(3))
    assert os.listdir(tmp_path / 'a') == ['x.hdf5']
    monkeypatch.undo()
    assert layout.read_hdf5(path).sum() == 15


def test_read_names_what_is_wrong(tmp_path):
    path = str(tmp_path / 'x.hdf5')
    with pytest.raises(FileNotFoundError, match='x.hdf5 does not exist'):
        layout.read_hdf5(path)
    with h5py.File(path, 'w') as file:
        file['data'] = 1
    with pytest.raises(KeyError, match=r"no array 'dataset', only \['data'\]"
                       ):
        layout.read_hdf5(path)


def test_frames_are_spelled_out():
    assert layout.describe_frame(
        'd/ai_9_1/images/scene_cam_02_final_hdf5/frame.0012.color.hdf5'
    ) == 'scene ai_9_1, camera cam_02, frame 12'
    assert layout.describe_frame('a/b.png') == 'file a/b.png'


HEADER = ','.join(layout.SPLIT_COLUMNS) + '\n'
ROW = 'ai_001_001,cam_00,7,True,,train\n'


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig'])
def test_a_byte_order_mark_loses_no_column(tmp_path, encoding):
    path = tmp_path / 'a.csv'
    path.write_text(HEADER + ROW, encoding=encoding)
    assert layout.read_split_csv(str(path), 'train') == [
        layout.Frame('ai_001_001', 'cam_00', 7)]


@pytest.mark.parametrize('content, message', [
    (HEADER + ROW + 'ai_001_001,cam', 'row 3 of .*a.csv is not complete'),
    (HEADER + ROW.replace('7', 'seven'), "a.csv has the frame_id 'seven'"),
    ('scene_name,camera_name\n', r"a.csv lacks the column\(s\) \['frame_id'"),
    (HEADER + ROW.replace('cam', 'cäm'), 'a.csv is not CSV in UTF-8')])
def test_damaged_tables_are_named(tmp_path, content, message):
    path = tmp_path / 'a.csv'
    path.write_text(content, encoding='latin-1')
    with pytest.raises(ValueError, match=f'Hypersim: .*{message}'):
        layout.read_split_csv(str(path), 'train')


@pytest.mark.parametrize('length', [0, 8, 100, 1000, -1])
def test_torn_arrays_are_named(tmp_path, length):
    path = tmp_path / 'a.hdf5'
    layout.write_hdf5(str(path), np.random.default_rng(0).random((30, 30)))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(OSError, match=f'Hypersim: {path} cannot be read as'):
        layout.read_hdf5(str(path))
