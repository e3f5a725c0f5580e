import numpy as np
import pytest

from genpercept_mm.codecs import AffineDepthCodec
from genpercept_mm.datasets.transforms import EncodeTarget, encode_target


def sample(**more):
    depth = np.random.default_rng(0).uniform(1, 9, (6, 8)).astype('f')
    mask = np.ones((6, 8), bool)
    mask[:, :3] = False
    return dict(
        img=np.zeros((6, 8, 3), np.uint8), img_path='a.png',
        dataset_name='toy', gt_depth_map=depth, gt_depth_mask=mask,
        seg_fields=['gt_depth_map', 'gt_depth_mask'], **more)


def test_label_becomes_the_target_of_the_codec():
    given = sample()
    expected, mask = AffineDepthCodec('disparity').encode(
        given['gt_depth_map'], given['gt_depth_mask'])
    results = EncodeTarget(
        dict(type='AffineDepthCodec', space='disparity'))(sample())
    np.testing.assert_array_equal(results['gt_target'], expected)
    np.testing.assert_array_equal(results['gt_target_mask'], mask)
    assert results['seg_fields'] == ['gt_target', 'gt_target_mask']
    assert 'gt_depth_map' not in results
    kept = EncodeTarget(
        dict(type='AffineDepthCodec'), keep_label=True)(sample())
    assert kept['seg_fields'] == ['gt_depth_map', 'gt_depth_mask',
                                  'gt_target', 'gt_target_mask']
    assert kept['gt_depth_map'] is not None


def test_wrong_codec_names_data_set_and_labels():
    with pytest.raises(ValueError, match="NormalCodec.*a.png.*'toy'.*depth"):
        EncodeTarget(dict(type='NormalCodec'))(sample())


def test_sizes_must_agree():
    given = sample()
    given['img'] = np.zeros((5, 8, 3), np.uint8)
    with pytest.raises(ValueError, match=r'a.png.*\(5, 8\).*\(6, 8\)'):
        EncodeTarget(dict(type='AffineDepthCodec'))(given)


def test_errors_of_the_codec_name_the_file():
    given = dict(img_path='b.png', gt_alpha_map=np.full((2, 2), 255.))
    with pytest.raises(ValueError, match='another task.*b.png'):
        EncodeTarget(dict(type='MatteCodec'))(given)


@pytest.mark.parametrize('depth', [0., 3.])
def test_a_map_without_information_is_reported_once(depth, monkeypatch):
    said = []
    monkeypatch.setattr(encode_target, 'print_log',
                        lambda message, **kwargs: said.append(message))
    encode = EncodeTarget(dict(type='AffineDepthCodec'))
    for name in ('first.png', 'second.png'):
        given = sample()
        given.update(gt_depth_map=np.full((6, 8), depth), img_path=name)
        assert not encode(given)['gt_target_mask'].any()
    assert len(said) == 1 and 'first.png' in said[0]
