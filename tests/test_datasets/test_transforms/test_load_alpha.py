import cv2
import numpy as np
import pytest
from PIL import Image

from genpercept_mm.datasets.transforms import LoadAlpha

GREY = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)


def load(path, **facts):
    return LoadAlpha()(dict(
        dict(img_path='i.jpg', alpha_path=str(path), seg_fields=[]), **facts))


def save(path, array, mode=None):
    Image.fromarray(array, mode).save(path)
    return path


def test_grey_image(tmp_path):
    results = load(save(tmp_path / 'a.png', GREY))
    np.testing.assert_allclose(results['gt_alpha_map'],
                               [[0, .2, .4], [.6, .8, 1]], rtol=1e-6)
    assert results['gt_alpha_map'].dtype == np.float32
    assert results['seg_fields'] == ['gt_alpha_map']
    assert 'gt_alpha_mask' not in results


def test_16_bits_and_1_bit(tmp_path):
    results = load(save(tmp_path / 'a.png', GREY.astype(np.uint16) * 257))
    np.testing.assert_allclose(results['gt_alpha_map'], GREY / 255, rtol=1e-6)
    Image.fromarray(GREY > 100).save(tmp_path / 'b.png')
    results = load(tmp_path / 'b.png')
    np.testing.assert_array_equal(results['gt_alpha_map'], GREY > 100)


def test_constant_masks_keep_their_value(tmp_path):
    for value in (0, 255):
        path = save(tmp_path / 'a.png', np.full((2, 3), value, np.uint8))
        assert (load(path)['gt_alpha_map'] == value / 255).all()


@pytest.mark.parametrize('opaque', [True, False])
def test_several_channels(tmp_path, opaque):
    """Equal colours are the matte; of a cut-out its transparency is."""
    equal = np.dstack([GREY] * 3)
    np.testing.assert_allclose(
        load(save(tmp_path / 'rgb.png', equal))['gt_alpha_map'], GREY / 255,
        rtol=1e-6)
    colours = np.random.default_rng(0).integers(0, 256, (2, 3, 3), np.uint8)
    full = np.full((2, 3), 255, np.uint8)
    rgba = (np.dstack([equal, full]) if opaque
            else np.dstack([colours, GREY]))
    np.testing.assert_allclose(
        load(save(tmp_path / 'rgba.png', rgba))['gt_alpha_map'], GREY / 255,
        rtol=1e-6)


def test_colour_pictures_are_refused(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (2, 3, 3), np.uint8)
    for array in (colours, np.dstack([colours, np.full((2, 3), 255,
                                                       np.uint8)])):
        path = save(tmp_path / 'a.png', array)
        with pytest.raises(ValueError, match=f'LoadAlpha: {path} has shape '
                           r'\(2, 3, 3\); expected'):
            load(path)


def test_size_of_the_image(tmp_path):
    path = save(tmp_path / 'a.png', GREY)
    load(path, ori_shape=(2, 3))
    with pytest.raises(ValueError, match=r'LoadAlpha: image i.jpg is \(4, 6\)'
                       rf'.*label {path} is \(2, 3\)'):
        load(path, ori_shape=(4, 6))


def test_other_types_missing_files_and_labels(tmp_path):
    path = save(tmp_path / 'a.tiff', GREY.astype(np.float32))
    with pytest.raises(ValueError, match=f'LoadAlpha: {path} holds float32'):
        load(path)
    with pytest.raises(FileNotFoundError, match='^LoadAlpha: .*no.png does'):
        load(tmp_path / 'no.png')
    with pytest.raises(ValueError, match="add 'alpha' to the labels"):
        LoadAlpha()(dict(img_path='i.jpg', seg_fields=[]))


@pytest.fixture
def told(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'genpercept_mm.datasets.transforms.load_alpha.print_log',
        lambda text, **_: lines.append(text))
    return lines


@pytest.mark.parametrize('kind, values, opaque', [
    (np.uint8, [0, 1, 1], 1), (np.uint16, [0, 1, 1], 1),
    (np.uint16, [0, 100, 255], 255), (np.uint16, [3, 2, 2], 255)])
def test_values_coded_otherwise_are_taken_so_and_told(
        tmp_path, told, kind, values, opaque):
    """Once for each data set, with file, values and the option to set."""
    path = save(tmp_path / 'a.png', np.array([values] * 2).astype(kind))
    load_alpha = LoadAlpha()
    for name in ('one', 'two', 'one', 'two'):
        results = load_alpha(dict(
            img_path='i.jpg', alpha_path=str(path), seg_fields=[],
            dataset_name=name))
        np.testing.assert_allclose(
            results['gt_alpha_map'], np.array([values] * 2) / opaque,
            rtol=1e-6)
    assert len(told) == 2
    for name, line in zip(('one', 'two'), told):
        for part in (path, f'from {min(values)} to {max(values)}',
                     f'max_value={opaque}', repr(name)):
            assert str(part) in line


@pytest.mark.parametrize('kind, values', [
    (np.uint8, [0, 2, 0]), (np.uint8, [0, 0, 0]), (np.uint16, [0, 0, 0]),
    (np.uint16, [0, 300, 65535]), (np.uint16, [0, 300, 256])])
def test_other_values_are_those_of_their_bits(tmp_path, told, kind, values):
    path = save(tmp_path / 'a.png', np.array([values] * 2).astype(kind))
    np.testing.assert_allclose(
        load(path)['gt_alpha_map'],
        np.array([values] * 2) / np.iinfo(kind).max, rtol=1e-6)
    assert not told


@pytest.mark.parametrize('max_value', [1, 200, 255, 1000])
@pytest.mark.parametrize('kind', [np.uint8, np.uint16, np.float32])
def test_the_stated_value_is_opaque(tmp_path, told, max_value, kind):
    most = 255 if kind is np.uint8 else 1000
    for top in (1, 200, 255, 1000):
        if top > most:
            continue
        path = str(tmp_path / 'a.tif')
        values = np.array([[0, top // 2, top]] * 2).astype(kind)
        cv2.imwrite(path, values, [cv2.IMWRITE_TIFF_COMPRESSION, 1])
        run = LoadAlpha(max_value=max_value)
        sample = dict(img_path='i.jpg', alpha_path=path, seg_fields=[])
        if top <= max_value:
            np.testing.assert_allclose(
                run(sample)['gt_alpha_map'], values / max_value, rtol=1e-6)
            continue
        with pytest.raises(ValueError, match=f'LoadAlpha: {path} holds values '
                           rf'from 0 to {top}; with max_value={max_value} '
                           rf'they must be in \[0, {max_value}\]'):
            run(sample)
    assert not told


@pytest.mark.parametrize('values', [[np.nan, 1], [np.inf, 0], [-.5, 1]])
def test_floats_that_are_no_opacities_are_refused(tmp_path, values):
    path = str(tmp_path / 'a.tif')
    cv2.imwrite(path, np.float32([values]),
                [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    with pytest.raises(ValueError, match=f'LoadAlpha: {path} holds values'):
        LoadAlpha(max_value=1)(dict(
            img_path='i.jpg', alpha_path=path, seg_fields=[]))


@pytest.mark.parametrize('max_value', [0, -1, float('nan')])
def test_the_stated_value_is_positive(max_value):
    with pytest.raises(ValueError, match='LoadAlpha: max_value must be posit'):
        LoadAlpha(max_value=max_value)
