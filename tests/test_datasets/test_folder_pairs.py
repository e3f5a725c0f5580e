import os

import cv2
import numpy as np
import pytest
from PIL import Image

from genpercept_mm.datasets import FolderPairsDataset

DEPTH = [dict(type='mmcv.LoadImageFromFile'),
         dict(type='genpercept_mm.LoadDepth')]


def write(root, name, array=None):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if array is None:
        array = np.zeros((2, 3, 3), np.uint8)
    if name.endswith('.npy'):
        np.save(path, array)
    else:
        assert cv2.imwrite(str(path), array)


def build(root, label='depth', **kwargs):
    return FolderPairsDataset(
        'img', 'lab', label, data_root=str(root), **kwargs)


def names(dataset):
    return [dataset.get_data_info(i)['sample_name']
            for i in range(len(dataset))]


def test_depth_of_all_folders(tmp_path):
    write(tmp_path, 'img/x/y/a.jpg')
    write(tmp_path, 'img/b.PNG')
    write(tmp_path, 'lab/x/y/a.png', np.full((2, 3), 4000, np.uint16))
    write(tmp_path, 'lab/b.npy', np.full((2, 3, 1), 5.))
    dataset = build(tmp_path, depth_scale=1 / 1000, depth_range=(1, 4.5),
                    pipeline=DEPTH)
    assert names(dataset) == ['b', 'x/y/a']
    sample = dataset[1]
    assert (sample['gt_depth_map'] == 4).all()
    assert sample['gt_depth_mask'].all()
    assert sample['dataset_name'] == 'folder_pairs'
    # depth_scale holds for every file
    np.testing.assert_allclose(dataset[0]['gt_depth_map'], 0.005)
    assert not dataset[0]['gt_depth_mask'].any()


def test_float_depth_needs_no_scale_nor_range(tmp_path):
    write(tmp_path, 'img/b.png')
    write(tmp_path, 'lab/b.npy', np.array([[0, -1, 2], [3, np.inf, 1e6]]))
    sample = build(tmp_path, pipeline=DEPTH, name='mine')[0]
    assert sample['gt_depth_mask'].tolist() == [
        [False, False, True], [True, False, True]]
    assert sample['dataset_name'] == 'mine'


def test_png_depth_needs_its_scale(tmp_path):
    write(tmp_path, 'img/b.png')
    write(tmp_path, 'lab/b.png', np.ones((2, 3), np.uint16))
    with pytest.raises(ValueError, match='FolderPairsDataset: depth_scale '
                       'must be set for PNG depth such as .*lab/b.png'):
        build(tmp_path)
    with pytest.raises(ValueError, match='depth_scale must be positive'):
        build(tmp_path, depth_scale=0)


def test_normals_in_stated_axes(tmp_path):
    write(tmp_path, 'img/b.png')
    write(tmp_path, 'lab/b.npy', np.full((2, 3, 3), [0, 0, -2.]))
    sample = build(tmp_path, 'normal', normal_axes='opencv', pipeline=[
        dict(type='genpercept_mm.LoadNormal')])[0]
    assert (sample['gt_normal_map'] == [0, 0, 1]).all()
    with pytest.raises(ValueError, match='normal axes must be one of'):
        build(tmp_path, 'normal', normal_axes='nerf')


def test_alpha_and_classes(tmp_path):
    write(tmp_path, 'img/b.png')
    write(tmp_path, 'lab/b.png', np.array([[0, 1, 255]] * 2, np.uint8))
    alpha = build(tmp_path, 'alpha',
                  pipeline=[dict(type='genpercept_mm.LoadAlpha')])[0]
    np.testing.assert_allclose(
        alpha['gt_alpha_map'], [[0, 1 / 255, 1]] * 2, rtol=1e-6)
    classes = build(
        tmp_path, 'seg', metainfo=dict(classes=('a', 'b')),
        pipeline=[dict(type='mmcv.LoadImageFromFile'),
                  dict(type='mmseg.LoadAnnotations')])
    assert classes.metainfo['classes'] == ('a', 'b')
    assert classes[0]['gt_seg_map'].tolist() == [[0, 1, 255]] * 2


def test_suffixes_and_one_folder_for_both(tmp_path):
    for stem in ('a', 'b/a'):
        write(tmp_path, f'{stem}.png')
        write(tmp_path, f'{stem}_depth.png', np.ones((2, 3), np.uint16))
    dataset = FolderPairsDataset(
        '.', '.', 'depth', img_suffix='.png', label_suffix='_depth.png',
        depth_scale=1, data_root=str(tmp_path))
    assert names(dataset) == ['a', 'b/a']


def test_unmatched_files(tmp_path):
    for name in ('img/a.jpg', 'img/b.jpg', 'lab/b.png'):
        write(tmp_path, name)
    with pytest.raises(FileNotFoundError, match='FolderPairsDataset: 1 of 2 '
                       'images have no label of the same name; the first is '
                       ".*img/a.jpg. Set img_suffix and .*missing='skip'"):
        build(tmp_path, 'alpha')
    write(tmp_path, 'lab/c.png')
    assert names(build(tmp_path, 'alpha', missing='skip')) == ['b']
    write(tmp_path, 'lab/a.png')
    with pytest.raises(FileNotFoundError, match='1 of 3 labels have no image '
                       'of the same name; the first is .*lab/c.png'):
        build(tmp_path, 'alpha')
    with pytest.raises(FileNotFoundError, match='2 of 2 images have no label'):
        build(tmp_path, 'alpha', missing='skip', img_suffix='.jpg',
              label_suffix='c.png')


def test_ambiguous_names(tmp_path):
    for name in ('img/a.jpg', 'img/a.png', 'lab/a.png'):
        write(tmp_path, name)
    with pytest.raises(ValueError, match='img/a.jpg and .*img/a.png have the '
                       'same name; set img_suffix'):
        build(tmp_path, 'alpha')
    assert build(tmp_path, 'alpha', img_suffix='.jpg').get_data_info(0)[
        'img_path'].endswith('a.jpg')


def test_bad_folders_labels_and_formats(tmp_path):
    write(tmp_path, 'img/a.png')
    with pytest.raises(FileNotFoundError, match="label_dir '.*lab' does not"):
        build(tmp_path)
    (tmp_path / 'lab').mkdir()
    Image.new('L', (3, 2)).save(tmp_path / 'lab/a_d.gif')
    with pytest.raises(FileNotFoundError, match='no file in .*lab ends with '
                       r"one of \('.png', '.npy', '.exr'\); set label_suff"):
        build(tmp_path)
    with pytest.raises(ValueError, match=r'suffix of .*a_d.gif must be one '
                       'of'):
        build(tmp_path, label_suffix='_d.gif')
    with pytest.raises(ValueError, match="label must be one of .*'seg'"):
        build(tmp_path, 'disparity')


@pytest.fixture
def told(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'genpercept_mm.datasets.folder_pairs.print_log',
        lambda text, **_: lines.append(text))
    return lines


def images(root, **kwargs):
    return FolderPairsDataset('img', data_root=str(root), **kwargs)


@pytest.mark.parametrize('suffix, kind', [
    ('jpg', 'JPEG'), ('jfif', 'JPEG'), ('jpe', 'JPEG'), ('gif', 'GIF'),
    ('jp2', 'JPEG2000'), ('webp', 'WEBP'), ('bmp', 'BMP'), ('ppm', 'PPM'),
    ('TIFF', 'TIFF')])
def test_images_of_any_suffix_are_listed_and_read(
        tmp_path, told, suffix, kind):
    """As Pillow reads them."""
    (tmp_path / 'img').mkdir()
    path = tmp_path / 'img' / f'a.{suffix}'
    picture = np.random.default_rng(0).integers(0, 4, (3, 4, 1)) * 80
    Image.fromarray(picture.repeat(3, 2).astype(np.uint8).repeat(
        8, 0).repeat(8, 1)).save(path, format=kind)
    dataset = images(tmp_path, pipeline=[dict(type='mmcv.LoadImageFromFile')])
    assert names(dataset) == ['a'] and not told
    np.testing.assert_allclose(
        dataset[0]['img'][..., ::-1].astype(int),
        np.asarray(Image.open(path).convert('RGB')), atol=2)


def test_what_is_left_out_is_told(tmp_path, told):
    for name in ('img/a.png', 'img/x/b.jpg'):
        write(tmp_path, name)
    for name in ('c.heic', 'x/d.svg', 'notes'):
        (tmp_path / 'img' / name).touch()
    (tmp_path / 'img/.hidden').touch()
    assert names(images(tmp_path)) == ['a', 'x/b']
    assert len(told) == 1
    for part in (f'leaves out 3 files of {tmp_path}/img, such as c.heic',
                 "'.jfif'", 'set img_suffix'):
        assert part in told[0]


def test_labels_left_out_are_told_too_but_not_what_was_chosen(tmp_path, told):
    write(tmp_path, 'img/a.png')
    write(tmp_path, 'lab/a.npy', np.ones((2, 3)))
    (tmp_path / 'lab/a.pfm').touch()
    assert names(build(tmp_path)) == ['a']
    assert len(told) == 1 and 'a.pfm' in told[0] and 'label_suffix' in told[0]
    assert names(build(tmp_path, label_suffix='.npy')) == ['a']
    assert len(told) == 1


def test_names_that_are_not_utf_8_are_told_printably(tmp_path, told):
    write(tmp_path, 'img/a.png')
    (tmp_path / 'img' / os.fsdecode(b'caf\xe9.xyz')).touch()
    assert names(images(tmp_path)) == ['a']
    assert r'caf\xe9.xyz' in told[0] and told[0].encode()


def test_two_links_to_their_own_folder(tmp_path):
    for name in ('img/a.png', 'img/x/b.png'):
        write(tmp_path, name)
    for name in 'cd':
        os.symlink('.', tmp_path / 'img' / name)
    assert names(images(tmp_path)) == ['a', 'x/b']


@pytest.mark.parametrize('folder', ['img', 'lab'])
def test_links_to_nowhere_are_missing_files(tmp_path, folder):
    for name in ('img/a.png', 'img/b.png', 'lab/a.png', 'lab/b.png'):
        write(tmp_path, name)
    path = tmp_path / folder / 'a.png'
    path.unlink()
    path.symlink_to('nowhere.png')
    with pytest.raises(FileNotFoundError, match=f'1 of 2 .*{path}'):
        build(tmp_path, 'alpha')
    assert names(build(tmp_path, 'alpha', missing='skip')) == ['b']


@pytest.mark.parametrize('turn', [1, 3, 6])
@pytest.mark.parametrize('suffix', ['jpg', 'jfif', 'webp'])
def test_labels_of_images_as_stored(tmp_path, turn, suffix):
    tags = Image.Exif()
    tags[0x0112] = turn
    picture = np.random.default_rng(0).integers(
        0, 256, (6, 6, 3)).astype(np.uint8)
    write(tmp_path, 'lab/a.png', picture[..., :1])
    (tmp_path / 'img').mkdir()
    path = tmp_path / f'img/a.{suffix}'
    Image.fromarray(picture).save(
        path, format='WEBP' if suffix == 'webp' else 'JPEG', exif=tags)
    pipeline = [dict(type='mmcv.LoadImageFromFile'),
                dict(type='genpercept_mm.LoadAlpha')]
    stored = build(tmp_path, 'alpha', ignore_orientation=True,
                   pipeline=pipeline)[0]
    np.testing.assert_allclose(
        stored['img'][..., ::-1].astype(int),
        np.asarray(Image.open(path)), atol=3)
    turned = build(tmp_path, 'alpha', pipeline=pipeline)
    if turn == 1:
        np.testing.assert_array_equal(turned[0]['img'], stored['img'])
        return
    with pytest.raises(ValueError, match=rf'orientation {turn}\).*{path.name}|'
                       rf'{path.name}.*orientation {turn}\).*'
                       'ignore_orientation=True'):
        turned[0]


def test_classes_without_colours_get_those_of_mmseg(tmp_path):
    from mmseg.datasets import BaseSegDataset
    for name in ('img/a.png', 'lab/a.png'):
        write(tmp_path, name)
    meta = dict(classes=('a', 'b', 'c'))
    stock = BaseSegDataset(metainfo=meta, lazy_init=True)
    assert build(tmp_path, 'seg', metainfo=meta).metainfo[
        'palette'] == stock.metainfo['palette']
    own = dict(meta, palette=[[1, 2, 3]] * 3)
    assert build(tmp_path, 'seg', metainfo=own).metainfo[
        'palette'] == own['palette']
