import os

import cv2
import numpy as np
import pytest
from mmengine.logging import MMLogger

from genpercept_mm.datasets.transforms import LoadDepth


def sample(path, **facts):
    return dict(dict(
        img_path='i.png', depth_path=str(path), depth_format='npy',
        depth_range=(1, 4), seg_fields=[]), **facts)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / 'd.npy'
    np.save(path, np.array([[1, 1.5, 4], [np.nan, np.inf, 3.5]]))
    return path


@pytest.fixture
def warnings(monkeypatch):
    found = []
    logger = MMLogger.get_instance('test_load_depth')
    monkeypatch.setattr(MMLogger, 'get_current_instance', lambda: logger)
    monkeypatch.setattr(
        logger, 'log', lambda level, text: found.append((level, text)))
    return found


def test_range_is_strict_and_non_finite_depth_invalid(path, warnings):
    results = LoadDepth()(sample(path))
    assert results['gt_depth_map'].tolist() == [[1, 1.5, 4], [0, 0, 3.5]]
    assert results['gt_depth_map'].dtype == np.float32
    assert results['gt_depth_mask'].tolist() == [
        [False, True, False], [False, False, True]]
    assert results['seg_fields'] == ['gt_depth_map', 'gt_depth_mask']
    assert not warnings


def test_constant_depth_is_fine(tmp_path, warnings):
    np.save(tmp_path / 'd.npy', np.full((2, 3), 2.))
    assert LoadDepth()(sample(tmp_path / 'd.npy'))['gt_depth_mask'].all()
    assert not warnings


def test_no_valid_pixel_warns_once(path, warnings):
    transform = LoadDepth()
    for _ in range(3):
        results = transform(sample(path, depth_range=(10, 20)))
        assert not results['gt_depth_mask'].any()
    assert len(warnings) == 1
    assert f'{path} has no valid pixel (range (10, 20) metres)' in (
        warnings[0][1])


def test_mask_from_an_image(path, tmp_path):
    cv2.imwrite(str(tmp_path / 'm.png'),
                np.array([[255, 0, 1], [255, 255, 0]], np.uint8))
    results = LoadDepth()(sample(path, depth_mask_path=str(
        tmp_path / 'm.png')))
    # outside the range counts, NaN does not
    assert results['gt_depth_mask'].tolist() == [
        [True, False, True], [False, False, False]]


def test_size_of_the_image(path):
    LoadDepth()(sample(path, ori_shape=(2, 3)))
    with pytest.raises(ValueError, match=r'LoadDepth: image i.png is \(3, 2\)'
                       rf'.*label {path} is \(2, 3\)'):
        LoadDepth()(sample(path, ori_shape=(3, 2)))


def test_unknown_format_and_unlisted_label(path):
    with pytest.raises(ValueError, match="LoadDepth: depth_format must be one "
                       "of .*'hypersim'.*got 'pfm'"):
        LoadDepth()(sample(path, depth_format='pfm'))
    with pytest.raises(ValueError, match="LoadDepth: the sample i.png lacks "
                       r"\['depth_path', 'depth_format'\]; add 'depth' to"):
        LoadDepth()(dict(img_path='i.png', seg_fields=[]))


def test_missing_and_truncated_files(path, tmp_path):
    with pytest.raises(OSError, match=f'^LoadDepth: {path} cannot be read'):
        os.truncate(path, 140)
        LoadDepth()(sample(path))
    with pytest.raises(FileNotFoundError, match='^LoadDepth: .*no.npy does '
                       'not exist'):
        LoadDepth()(sample(tmp_path / 'no.npy'))
