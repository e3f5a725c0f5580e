import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose
from PIL import Image

from genpercept_mm.datasets.transforms import LoadSegLabel


def load(tmp_path, label, image=None, reduce_zero_label=False, **save):
    """Run the stock image loader and LoadSegLabel on two files."""
    image = Image.new('RGB', label.size) if image is None else image
    label.save(tmp_path / 'label.png')
    image.save(tmp_path / 'image.png', **save)
    pipeline = Compose([
        dict(type='LoadImageFromFile'),
        dict(type='genpercept_mm.LoadSegLabel', num_ids=5)])
    return pipeline(dict(
        img_path=str(tmp_path / 'image.png'),
        seg_map_path=str(tmp_path / 'label.png'),
        reduce_zero_label=reduce_zero_label, label_map=None, seg_fields=[]))


IDS = np.array([[0, 1, 2], [3, 4, 255]], np.uint8)


def test_ids_come_through(tmp_path):
    out = load(tmp_path, Image.fromarray(IDS))
    np.testing.assert_array_equal(out['gt_seg_map'], IDS)
    out = load(tmp_path, Image.fromarray(IDS), reduce_zero_label=True)
    np.testing.assert_array_equal(out['gt_seg_map'],
                                  [[255, 0, 1], [2, 3, 255]])


def test_palette_and_16_bit_labels_keep_their_ids(tmp_path):
    palette = Image.fromarray(IDS, 'P')
    palette.putpalette(list(range(255, -1, -1)) * 3)
    np.testing.assert_array_equal(
        load(tmp_path, palette)['gt_seg_map'], IDS)
    wide = Image.fromarray(IDS.astype(np.uint16))
    np.testing.assert_array_equal(load(tmp_path, wide)['gt_seg_map'], IDS)


def test_ids_out_of_range_are_refused_before_they_wrap(tmp_path):
    with pytest.raises(ValueError, match='contains the label id 5; this data '
                       r'set has ids 0..4'):
        load(tmp_path, Image.fromarray(IDS + (IDS == 4)))
    # 256 + 1 as uint8 would be a valid 1
    with pytest.raises(ValueError, match='label id 257'):
        load(tmp_path, Image.fromarray(
            np.array([[257, 0]], np.uint16)))


def test_colour_labels_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r'has shape \(2, 3, 3\); a label has '
                       'one channel'):
        load(tmp_path, Image.fromarray(np.zeros((2, 3, 3), np.uint8)))


def test_other_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'is \(3, 2\) and label .* is '
                       r'\(2, 3\)'):
        load(tmp_path, Image.fromarray(IDS), Image.new('RGB', (2, 3)))


def test_exif_rotation_is_applied_to_the_image_and_then_checked(tmp_path):
    picture = np.zeros((2, 3, 3), np.uint8)
    picture[0, 0] = 200  # top left in the file, top right once turned
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    label = Image.fromarray(np.zeros((3, 2), np.uint8))
    out = load(tmp_path, label, Image.fromarray(picture), exif=exif)
    assert out['img'].shape == (3, 2, 3)
    assert out['img'][0, 1, 0] == 200 and out['img'].sum() == 600
    with pytest.raises(ValueError, match='EXIF'):
        load(tmp_path, Image.fromarray(IDS), Image.fromarray(picture),
             exif=exif)


@pytest.mark.parametrize('orientation, size', [
    (2, (3, 2)), (3, (3, 2)), (4, (3, 2)), (6, (3, 3))])
def test_exif_rotation_that_sizes_cannot_judge_is_refused(
        tmp_path, orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    with pytest.raises(ValueError, match=f'orientation {orientation}'):
        load(tmp_path, Image.new('L', size), Image.new('RGB', size),
             exif=exif)


@pytest.mark.parametrize('kind', ['grey', 'rgba', '16 bit', 'palette'])
def test_unusual_images_have_the_same_pixels_as_plain_ones(tmp_path, kind):
    rgb = np.random.default_rng(0).integers(0, 256, (2, 3, 3), np.uint8)
    if kind == 'grey':
        rgb[..., 1] = rgb[..., 2] = rgb[..., 0]
        image = Image.fromarray(rgb[..., 0])
    elif kind == 'rgba':
        image = Image.fromarray(np.dstack([rgb, np.full((2, 3), 90, 'u1')]))
    elif kind == 'palette':
        image = Image.fromarray(rgb).quantize(8)
    else:
        image = Image.fromarray(rgb)  # replaced below: PIL has no such mode
    label = Image.fromarray(IDS)
    if kind == '16 bit':
        class Saved:
            size = (3, 2)

            @staticmethod
            def save(path):
                cv2.imwrite(str(path), rgb[..., ::-1].astype(np.uint16) * 257)
        image = Saved
    out = load(tmp_path, label, image)
    assert out['img'].dtype == np.uint8
    np.testing.assert_array_equal(out['img'][..., ::-1], rgb)


def test_undecodable_label_is_named(tmp_path):
    out = dict(seg_map_path=str(tmp_path / 'x.png'), reduce_zero_label=False,
               label_map=None, seg_fields=[])
    (tmp_path / 'x.png').write_bytes(b'no picture')
    with pytest.raises(OSError, match='x.png'):
        LoadSegLabel(num_ids=5)(out)


def load_ids(path, array, num_ids, new_ids, **facts):
    """Load a label alone."""
    array.save(path) if isinstance(array, Image.Image) else Image.fromarray(
        array).save(path)
    return LoadSegLabel(num_ids=num_ids, label_map=new_ids)(dict(
        dict(seg_map_path=str(path), reduce_zero_label=False, label_map=None,
             seg_fields=[]), **facts))['gt_seg_map']


@pytest.mark.parametrize('kind', [np.uint8, np.uint16])
@pytest.mark.parametrize('label_map', [
    None, {}, {255: 1}, {0: 1, 1: 0}, {0: 255, 255: 0}, {7: 2, 1: 2}])
def test_ids_are_replaced_all_at_once(tmp_path, kind, label_map):
    """Pixel by pixel, so that two ids can change places."""
    ids = np.random.default_rng(0).choice(
        [0, 1, 255, 7] if label_map and 7 in label_map else [0, 1, 255],
        (5, 6)).astype(kind)
    found = load_ids(tmp_path / 'a.png', ids, 3, label_map)
    assert found.dtype == np.uint8
    assert found.tolist() == [
        [(label_map or {}).get(int(id_), int(id_)) for id_ in row]
        for row in ids]


def test_large_ids_are_replaced_before_they_are_checked(tmp_path):
    ids = np.array([[0, 1000], [65535, 2]], np.uint16)
    found = load_ids(tmp_path / 'a.png', ids, 3, {1000: 1, 65535: 255})
    assert found.tolist() == [[0, 1], [255, 2]]
    with pytest.raises(ValueError, match='a.png contains the label id 65535'):
        load_ids(tmp_path / 'a.png', ids, 3, {1000: 1})


@pytest.mark.parametrize('new', [-1, 3, 256, 300])
def test_new_ids_are_those_of_classes(new):
    """256 would become 0 among 8 bits."""
    with pytest.raises(ValueError, match=rf'label_map gives the ids \[{new}\];'
                       r' new ids are 0\.\.2, or 255'):
        LoadSegLabel(num_ids=3, label_map={0: new, 1: 2})


def test_masks_of_one_bit_are_classes_0_and_1(tmp_path):
    mask = np.random.default_rng(0).random((5, 6)) < .5
    found = load_ids(tmp_path / 'a.png', Image.fromarray(mask), 2, None)
    np.testing.assert_array_equal(found, mask)


def test_the_map_of_the_data_set_comes_after(tmp_path):
    """It maps classes of mmseg's data set, after reduce_zero_label."""
    ids = np.array([[0, 1, 255]], np.uint8)
    found = load_ids(tmp_path / 'a.png', ids, 3, {255: 2},
                     reduce_zero_label=True, label_map={0: 5, 1: 6})
    assert found.tolist() == [[255, 5, 6]]


def test_more_ids_than_a_byte_has_are_refused():
    """300 would be stored as 44."""
    with pytest.raises(ValueError, match='num_ids must be 1..255.*got 300'):
        LoadSegLabel(num_ids=300)


@pytest.mark.parametrize('own, ok', [(None, True), (False, True),
                                     (True, False)])
def test_zero_is_reduced_as_the_data_set_says(tmp_path, own, ok):
    """mmseg's transform has an assertion."""
    path = str(tmp_path / 'a.png')
    Image.fromarray(np.arange(4, dtype=np.uint8).reshape(2, 2)).save(path)
    load = LoadSegLabel(num_ids=5, reduce_zero_label=own)
    results = dict(seg_map_path=path, seg_fields=[], label_map=None,
                   reduce_zero_label=False)
    if ok:
        assert load(results)['gt_seg_map'].tolist() == [[0, 1], [2, 3]]
        return
    with pytest.raises(ValueError, match='True here and False in the data'):
        load(results)
