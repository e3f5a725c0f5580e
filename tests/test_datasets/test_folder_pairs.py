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
