import numpy as np
import pytest
from miniworld.persons.outlines import (
    mask_box,
    mask_polygons,
)
from xtcocotools import mask as coco_mask


def _decode(polygons, shape):
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(
        polygons, *shape))).astype(bool)


def _shoelace(polygon):
    x, y = np.array(polygon, float).reshape(-1, 2).T
    return abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2


def test_square_by_hand():
    mask = np.zeros((5, 7), bool)
    mask[1:3, 2:5] = True
    assert mask_polygons(mask) == [[2, 1, 5, 1, 5, 3, 2, 3]]
    assert mask_box(mask) == [2, 1, 3, 2]


@pytest.mark.parametrize('seed', range(12))
def test_polygons_cover_the_mask_and_nothing_else(seed):
    """Noise: many pieces, holes, and pixels that touch at corners."""
    rng = np.random.default_rng(seed)
    mask = rng.random((17, 23)) < (0.3, 0.5, 0.7, 0.9)[seed % 4]
    polygons = mask_polygons(mask)
    # rasterised by another library
    assert np.array_equal(_decode(polygons, mask.shape), mask)
    # pieces do not overlap
    assert sum(map(_shoelace, polygons)) == mask.sum()


def test_ring_is_two_polygons():
    y, x = np.mgrid[:40, :40] - 20
    mask = (np.hypot(x, y) < 15) & (np.hypot(x, y) > 8)
    polygons = mask_polygons(mask)
    assert len(polygons) == 2
    assert np.array_equal(_decode(polygons, mask.shape), mask)


def test_empty_mask_has_no_polygons():
    assert mask_polygons(np.zeros((4, 4), bool)) == []


def test_full_mask_is_the_picture():
    mask = np.ones((4, 6), bool)
    assert mask_polygons(mask) == [[0, 0, 6, 0, 6, 4, 0, 4]]
    assert mask_box(mask) == [0, 0, 6, 4]
