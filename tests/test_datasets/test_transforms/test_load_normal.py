import h5py
import numpy as np
import pytest
from mmengine.logging import MMLogger

from genpercept_mm.datasets.transforms import LoadNormal


def sample(path, **facts):
    return dict(dict(
        img_path='i.png', normal_path=str(path), normal_format='npy',
        normal_axes='genpercept', dataset_name='mine', seg_fields=[]),
        **facts)


@pytest.fixture
def warnings(monkeypatch):
    found = []
    logger = MMLogger.get_instance('test_load_normal')
    monkeypatch.setattr(MMLogger, 'get_current_instance', lambda: logger)
    monkeypatch.setattr(logger, 'log', lambda level, text: found.append(text))
    return found


@pytest.fixture
def slope(tmp_path):
    """Normals and depth of a plane that leans to the left and back."""
    normal = np.array([0.48, 0.36, 0.8])
    rows, columns = np.mgrid[:24, :32]
    focal = 16 / np.tan(np.pi / 6)
    rays = np.stack([(columns - 15.5) / focal, -(rows - 11.5) / focal,
                     -np.ones((24, 32))], -1)
    depth = (-2 / (rays @ normal)).astype(np.float32)
    path = tmp_path / 'n.npy'
    np.save(path, np.tile(normal, (24, 32, 1)))
    return path, dict(gt_depth_map=depth, gt_depth_mask=depth > 0,
                      depth_path='d.png')


def test_unit_length_and_mask(tmp_path):
    path = tmp_path / 'n.npy'
    np.save(path, np.array([[[0, 3, 4], [0, 0, 0]],
                            [[np.nan, 0, 1], [0, 1e-3, 0]]]))
    results = LoadNormal()(sample(path))
    np.testing.assert_allclose(
        results['gt_normal_map'],
        [[[0, .6, .8], [0, 0, 0]], [[0, 0, 0], [0, 1, 0]]], rtol=1e-6)
    assert results['gt_normal_map'].dtype == np.float32
    assert results['gt_normal_mask'].tolist() == [[True, False],
                                                  [False, True]]
    assert results['seg_fields'] == ['gt_normal_map', 'gt_normal_mask']
    strict = LoadNormal()(sample(path, normal_min_norm=0.5))
    assert strict['gt_normal_mask'].tolist() == [[True, False],
                                                 [False, False]]


@pytest.mark.parametrize('axes,expected', [
    ('genpercept', (.48, .36, .8)), ('opencv', (.48, -.36, -.8)),
    ('dsine', (-.48, .36, .8)), ((1, -1, 1), (.48, -.36, .8))])
def test_axes_of_the_set_or_of_the_transform(slope, axes, expected):
    for results in (LoadNormal()(sample(slope[0], normal_axes=axes)),
                    LoadNormal(axes=axes)(sample(slope[0]))):
        np.testing.assert_allclose(
            results['gt_normal_map'][3, 5], expected, rtol=1e-6)


def test_hypersim_normals_face_the_camera_unless_told_otherwise(tmp_path):
    path = tmp_path / 'n.hdf5'
    with h5py.File(path, 'w') as file:
        file['dataset'] = np.tile(np.float32([0, 0, -1]), (2, 3, 1))
    facts = dict(normal_format='hypersim')
    turned = LoadNormal()(sample(path, **facts))['gt_normal_map']
    assert (turned == [0, 0, 1]).all()
    # a camera that looks along +z sees that surface from the front
    turned = LoadNormal()(sample(
        path, camera_from_uv=[[.5, 0, 0], [0, .5, 0], [0, 0, 1]], **facts))
    assert (turned['gt_normal_map'] == [0, 0, -1]).all()
    kept = LoadNormal(face_camera=False)(sample(path, **facts))
    assert (kept['gt_normal_map'] == [0, 0, -1]).all()


def test_wrong_axes_are_reported_once_per_set(slope, warnings):
    path, depth = slope
    transform = LoadNormal()
    for _ in range(3):
        transform(sample(path, normal_axes='opencv', **depth))
    assert len(warnings) == 1
    assert str(path) in warnings[0] and "data set 'mine'" in warnings[0]
    assert "with axes='opencv' the normals are" in warnings[0]
    assert "Set axes='genpercept' in LoadNormal" in warnings[0]
    transform(sample(path, normal_axes='opencv', dataset_name='two', **depth))
    assert len(warnings) == 2


def test_turning_normals_round_does_not_hide_wrong_axes(slope, tmp_path,
                                                         warnings):
    path = tmp_path / 'n.hdf5'
    with h5py.File(path, 'w') as file:
        file['dataset'] = np.load(slope[0])
    LoadNormal(axes='opencv')(sample(
        path, normal_format='hypersim', **slope[1]))
    assert "Set axes='genpercept' in LoadNormal" in warnings[0]


def test_no_report_without_reason(slope, warnings):
    path, depth = slope
    LoadNormal()(sample(path, **depth))
    LoadNormal()(sample(path, normal_axes='opencv'))  # no depth
    LoadNormal(check=False)(sample(path, normal_axes='opencv', **depth))
    assert not warnings


def test_only_the_first_samples_are_compared(slope, monkeypatch):
    path, depth = slope
    calls = []
    monkeypatch.setattr(
        'genpercept_mm.datasets.transforms.load_normal.'
        'normals_disagree_with_depth', lambda *args: calls.append(1))
    transform = LoadNormal()
    for _ in range(8):
        transform(sample(path, **depth))
    assert len(calls) == 5


def test_bad_input(slope, tmp_path):
    path, _ = slope
    with pytest.raises(ValueError, match='normal axes must be one of'):
        LoadNormal(axes='opengl')
    with pytest.raises(ValueError, match="LoadNormal: normal_format must be "
                       "one of .*got 'pfm'"):
        LoadNormal()(sample(path, normal_format='pfm'))
    with pytest.raises(ValueError, match=r'LoadNormal: image i.png is '
                       rf'\(32, 24\).*{path} is \(24, 32\)'):
        LoadNormal()(sample(path, ori_shape=(32, 24)))
    with pytest.raises(FileNotFoundError, match='^LoadNormal: .*no.npy does '
                       'not exist'):
        LoadNormal()(sample(tmp_path / 'no.npy'))
    with pytest.raises(ValueError, match="add 'normal' to the labels"):
        LoadNormal()(dict(seg_fields=[]))
