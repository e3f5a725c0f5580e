import h5py
import numpy as np
import pytest

from genpercept_mm.datasets.transforms import LoadHypersimSemantic


def load(tmp_path, ids, **more):
    path = str(tmp_path / 'frame.0000.semantic.hdf5')
    with h5py.File(path, 'w') as file:
        file['dataset'] = ids
    return LoadHypersimSemantic()(
        dict(seg_map_path=path, label_map=None, seg_fields=[], **more))


@pytest.mark.parametrize('dtype', ['int16', 'int32'])
def test_ids_become_zero_based_and_unlabelled_is_ignored(tmp_path, dtype):
    out = load(tmp_path, np.array([[-1, 1, 2], [39, 40, 22]], dtype))
    assert out['gt_seg_map'].tolist() == [[255, 0, 1], [38, 39, 21]]
    assert out['gt_seg_map'].dtype == np.uint8
    assert out['seg_fields'] == ['gt_seg_map']


@pytest.mark.parametrize('wrong', [0, 41, -2, 255, 257])
def test_other_ids_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=f'contains the label id {wrong};'):
        load(tmp_path, np.array([[1, wrong]], np.int16))


def test_size_is_checked_against_the_original_image(tmp_path):
    ids = np.ones((4, 6), np.int16)
    load(tmp_path, ids, ori_shape=(4, 6), img=np.zeros((8, 12, 3)))
    with pytest.raises(ValueError, match=r'is \(4, 7\) and label .* is '
                       r'\(4, 6\)'):
        load(tmp_path, ids, ori_shape=(4, 7), img_path='x.jpg')
