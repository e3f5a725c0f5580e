import numpy as np
import pytest
from miniworld.rooms.hypersim_set import (
    _camera_csv,
    plan_frames,
)

from genpercept_mm.datasets.io.hypersim_io import read_cameras

COLUMNS = [f'M_cam_from_uv_{i}{j}' for i in range(3) for j in range(3)]


def test_matrix_per_scene_in_any_column_order(tmp_path):
    path = tmp_path / 'c.csv'
    path.write_text('\n'.join([
        ','.join(['other', *reversed(COLUMNS), 'scene_name']),
        'x,9,8,7,6,5,4,3,2,1,ai_001_001',
        'y,-1,0,0,0,.5,0,0,0,.6,ai_001_002']))
    assert read_cameras(str(path)) == {
        'ai_001_001': [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
        'ai_001_002': [[.6, 0, 0], [0, .5, 0], [0, 0, -1]]}


def test_what_mini_hypersim_writes(tmp_path):
    path = tmp_path / 'c.csv'
    path.write_bytes(_camera_csv(plan_frames(5, 4), 1024, 768))
    cameras = read_cameras(str(path))
    assert sorted(cameras) == ['ai_900_001', 'ai_900_002']
    np.testing.assert_allclose(
        cameras['ai_900_002'], np.diag([0.57735027, 0.43301272, -1]),
        atol=1e-8)


def test_missing_columns_and_values(tmp_path):
    path = tmp_path / 'c.csv'
    path.write_text('scene_name,M_cam_from_uv_00\nai_001_001,1\n')
    with pytest.raises(ValueError, match=f"{path} lacks the column.*"
                       "'M_cam_from_uv_22'.*contrib/mikeroberts3000"):
        read_cameras(str(path))
    header = ','.join(['scene_name', *COLUMNS])
    path.write_text(f'{header}\nai_1,1,2,3\n')
    with pytest.raises(ValueError, match=f'row 2 of {path} is not complete'):
        read_cameras(str(path))
    path.write_text(f'{header}\nai_1{",1" * 8},x\n')
    with pytest.raises(ValueError, match='scene ai_1: M_cam_from_uv is '
                       'incomplete'):
        read_cameras(str(path))
