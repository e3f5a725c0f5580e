import numpy as np

from genpercept_mm.compat.xtcocotools import mask


def test_the_functions_of_pycocotools_are_there():
    from pycocotools import mask as stock
    for name in ('area', 'decode', 'encode', 'frPyObjects', 'iou', 'merge',
                 'toBbox'):
        assert getattr(mask, name) is getattr(stock, name)
    picture = np.asfortranarray(np.eye(5, dtype=np.uint8)[..., None])
    assert mask.area(mask.encode(picture)).tolist() == [5]
