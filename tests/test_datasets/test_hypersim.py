import os
import os.path as osp

import cv2
import h5py
import numpy as np
import pytest
import torch
from conftest import write_frame  # noqa: I001

from genpercept_mm.datasets import HypersimDataset
from genpercept_mm.datasets.hypersim_layout import frame_path

PIPELINE = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.LoadHypersimSemantic'),
    dict(type='mmseg.PackSegInputs')
]


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
    with pytest.raises(FileNotFoundError, match='1 of 3 train frames lack '
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
    with pytest.raises(ValueError, match=r'frame 0: .* holds the label id 41;'
                       r' NYU40 ids are 1..40'):
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
