import numpy as np
import pytest

from genpercept_mm.datasets.transforms import KITTIBenchmarkCrop


def sample(height, width):
    rows, columns = np.mgrid[:height, :width]
    return dict(
        img=np.dstack([rows % 256, columns % 256, rows // 256]).astype(
            np.uint8),
        gt_depth_map=(rows * 10000 + columns).astype(np.float32),
        gt_depth_mask=columns % 2 == 0,
        seg_fields=['gt_depth_map', 'gt_depth_mask'], img_path='k.png',
        img_shape=(height, width), ori_shape=(height, width))


@pytest.mark.parametrize('size,top,left', [
    ((375, 1242), 23, 13), ((370, 1224), 18, 4), ((376, 1241), 24, 12),
    ((374, 1238), 22, 11), ((352, 1216), 0, 0)])
def test_bottom_and_middle(size, top, left):
    """The five image sizes of KITTI raw."""
    results = KITTIBenchmarkCrop()(sample(*size))
    assert results['img'].shape == (352, 1216, 3)
    assert results['img_shape'] == results['ori_shape'] == (352, 1216)
    depth = results['gt_depth_map']
    assert depth.shape == (352, 1216)
    assert depth[0, 0] == top * 10000 + left
    # the last row of the image is kept
    assert depth[-1, -1] == (size[0] - 1) * 10000 + left + 1215
    assert results['gt_depth_mask'][0, 0] == (left % 2 == 0)
    assert results['img'][0, 0].tolist() == [top, left, 0]
    assert results['crop_box'] == (top, size[0], left, left + 1216)


def test_small_images_are_named():
    with pytest.raises(ValueError, match='KITTIBenchmarkCrop: k.png is 351 x '
                       '1216, smaller than the crop of 352 x 1216'):
        KITTIBenchmarkCrop()(sample(351, 1216))


def test_maps_of_another_size():
    results = sample(375, 1242)
    results['gt_depth_mask'] = results['gt_depth_mask'][1:]
    with pytest.raises(ValueError, match=r'gt_depth_mask of k.png is \(374, '
                       r'1242\), the image \(375, 1242\)'):
        KITTIBenchmarkCrop()(results)
