import os

import cv2
import numpy as np
import pytest
from mmengine.dataset import ConcatDataset
from mmengine.structures import BaseDataElement
from PIL import Image

from genpercept_mm.datasets import (
    AIM500Dataset,
    BaseDenseDataset,
    DIS5KDataset,
    ETH3DDataset,
    LoadAlpha,
    P3MDataset,
)
from genpercept_mm.datasets.base_dense_dataset import name_sample


class Small(BaseDenseDataset):
    NAME = 'small'
    LABELS = ('depth', 'normal')
    TREE = 'expected <data_root>/a.png'

    def list_samples(self, listing):
        for name in ('a', 'b', 'c'):
            yield dict(
                sample_name=name,
                img_path=os.path.join(self.data_root, name + '.png'),
                depth_path=os.path.join(self.data_root, name + '.npy'))


@pytest.fixture
def root(tmp_path):
    for name in 'abc':
        cv2.imwrite(str(tmp_path / f'{name}.png'), np.ones((4, 5), np.uint8))
        np.save(tmp_path / f'{name}.npy', np.ones((4, 5)))
    return str(tmp_path)


def test_fields_of_a_sample(root):
    info = Small(data_root=root).get_data_info(1)
    assert info == dict(
        sample_name='b', dataset_name='small', img_path=f'{root}/b.png',
        depth_path=f'{root}/b.npy', label_map=None, reduce_zero_label=False,
        seg_fields=[], sample_idx=1)


def test_labels_default_to_the_first(root):
    assert Small(data_root=root).labels == ('depth', )
    assert Small(labels='normal', data_root=root).labels == ('normal', )
    for labels in ('seg', ('depth', 'seg'), ()):
        with pytest.raises(ValueError, match='Small: labels must be from '
                           r"\('depth', 'normal'\), got"):
            Small(labels=labels, data_root=root)


def test_arguments_of_mmengine_work(root):
    dataset = Small(data_root=root, indices=2, lazy_init=True,
                    serialize_data=False, test_mode=True, max_refetch=3)
    assert not dataset._fully_initialized
    dataset.full_init()
    assert len(dataset) == 2


@pytest.mark.parametrize('name', ['reduce_zero_label', 'img_suffix',
                                  'filter_cfg', 'data_prefix'])
def test_arguments_without_effect_are_refused(root, name):
    with pytest.raises(TypeError, match=rf"Small: unknown argument\(s\) "
                       rf"\['{name}'\]; it takes .*'indices'.*'missing'"):
        Small(data_root=root, **{name: None})


def test_a_list_is_refused_where_folders_are_read(root):
    with pytest.raises(TypeError, match=r"AIM500Dataset: unknown argument\(s\)"
                       r" \['ann_file'\]; it takes \['data_root'.*'missing'"):
        AIM500Dataset(data_root=root, ann_file='some.txt')


def test_missing_root_shows_the_tree(tmp_path):
    with pytest.raises(FileNotFoundError, match="Small: data_root '.*/no' "
                       'does not exist; expected <data_root>/a.png'):
        Small(data_root=str(tmp_path / 'no'))


def test_missing_files(root):
    os.remove(f'{root}/b.npy')
    with pytest.raises(FileNotFoundError, match='Small: 1 of 3 samples lack '
                       f"files; the first is {root}/b.npy. Set missing='skip'"
                       '.*expected <data_root>'):
        Small(data_root=root)
    dataset = Small(data_root=root, missing='skip')
    assert [dataset.get_data_info(i)['sample_name'] for i in range(2)] == [
        'a', 'c']
    assert len(dataset) == 2
    for name in 'ac':
        os.remove(f'{root}/{name}.png')
    with pytest.raises(FileNotFoundError, match='3 of 3 samples'):
        Small(data_root=root, missing='skip')
    with pytest.raises(ValueError, match="Small: missing must be one of "
                       r"\('raise', 'skip'\), got 'ignore'"):
        Small(data_root=root, missing='ignore')


def test_no_sample_at_all(tmp_path):
    with pytest.raises(FileNotFoundError, match='AIM500Dataset: found no '
                       'sample in .*expected\n  <data_root>/original'):
        AIM500Dataset(data_root=str(tmp_path))


def test_names_are_unique(root):

    class Twice(Small):

        def list_samples(self, listing):
            yield from super().list_samples(listing)
            yield from super().list_samples(listing)

    with pytest.raises(ValueError, match="Twice: two samples are named 'a'"):
        Twice(data_root=root)


@pytest.mark.parametrize('test_mode', [True, False])
def test_a_broken_sample_is_never_replaced_by_another(root, test_mode):
    load = dict(type='mmcv.LoadImageFromFile')
    open(f'{root}/b.png', 'w').close()
    dataset = Small(data_root=root, pipeline=[load], test_mode=test_mode)
    assert dataset[0]['img'].shape == (4, 5, 3)
    with pytest.raises(OSError, match=f'{root}/b.png cannot be read as an im'):
        dataset[1]

    def broken(results):
        return cv2.imdecode(np.zeros(0, np.uint8), 1)

    dataset = Small(data_root=root, pipeline=[broken], test_mode=test_mode)
    with pytest.raises(OSError, match=f"Small: sample 'b', image {root}/b.png"
                       ': OpenCV fails'):
        dataset[1]
    dropping = Small(data_root=root, pipeline=[load, lambda results: None],
                     test_mode=test_mode)
    with pytest.raises(ValueError, match="Small: sample 'a'.*the pipeline "
                       'returned nothing'):
        dropping[0]


def test_different_sets_concatenate(tmp_path):
    for folder in ('DIS-VD/im', 'DIS-VD/gt', 'original', 'mask'):
        os.makedirs(tmp_path / folder)
        cv2.imwrite(str(tmp_path / folder / 'a.png'),
                    np.full((4, 5), 51, np.uint8))
    pipeline = [LoadAlpha()]
    both = ConcatDataset([
        DIS5KDataset('DIS-VD', data_root=str(tmp_path), pipeline=pipeline),
        AIM500Dataset(data_root=str(tmp_path), pipeline=pipeline)])
    assert [both[i]['dataset_name'] for i in range(2)] == ['DIS-VD', 'aim500']
    assert np.allclose(both[1]['gt_alpha_map'], 0.2)


def test_max_samples_are_spread_over_the_list(root):
    def names(**more):
        dataset = Small(data_root=root, **more)
        return [info['sample_name'] for info in map(
            dataset.get_data_info, range(len(dataset)))]

    assert names(max_samples=2) == ['a', 'b']
    assert names(max_samples=1) == ['a']
    assert names(max_samples=9) == ['a', 'b', 'c']
    os.remove(os.path.join(root, 'a.npy'))
    assert names(max_samples=2, missing='skip') == ['b', 'c']
    with pytest.raises(ValueError, match='max_samples'):
        Small(data_root=root, max_samples=0)


@pytest.mark.parametrize('packing', ['mmseg.PackSegInputs',
                                     'genpercept_mm.PackDenseInputs'])
@pytest.mark.parametrize('ignored', [True, False])
def test_packed_samples_keep_their_names(root, packing, ignored):
    """mmseg's own transform would drop them."""

    class Turned(Small):
        IGNORE_ORIENTATION = ignored

    dataset = Turned(data_root=root, pipeline=[
        dict(type='mmcv.LoadImageFromFile'), dict(type=packing)])
    sample = dataset[1]['data_samples']
    assert (sample.dataset_name, sample.sample_name) == ('small', 'b')
    assert sample.get('ignore_orientation', False) == ignored


@pytest.mark.parametrize('data', [
    None, [], dict(), dict(data_samples=None), dict(data_samples=[1])])
def test_other_results_of_pipelines_are_left_alone(data):
    name_sample(data, dict(sample_name='a'))


def test_names_of_the_pipeline_win():
    sample = BaseDataElement(metainfo=dict(sample_name='own'))
    name_sample(dict(data_samples=sample), dict(
        sample_name='a', dataset_name='b', depth_path='c'))
    assert (sample.sample_name, sample.dataset_name) == ('own', 'b')
    assert 'depth_path' not in sample
    assert 'ignore_orientation' not in sample


# -- photographs that are stored turned ---------------------------------------

TURNED_SETS = dict(
    dis5k=(DIS5KDataset, {}, 'DIS-TR/im/a.jpg', 'DIS-TR/gt/a.png'),
    p3m=(P3MDataset, {}, 'train/blurred_image/a.jpg', 'train/mask/a.png'),
    p3m_test=(P3MDataset, dict(subset='P3M-500-NP'),
              'validation/P3M-500-NP/original_image/a.jpg',
              'validation/P3M-500-NP/mask/a.png'),
    aim500=(AIM500Dataset, {}, 'original/a.jpg', 'mask/a.png'),
    eth3d=(ETH3DDataset, {}, 'rgb/a.JPG', 'depth/a.JPG'))


def as_stored(path):
    """Pillow turns an image only if it is asked to."""
    return np.asarray(Image.open(path))


@pytest.mark.parametrize('turn, size', [(6, (10, 14)), (8, (14, 10)),
                                        (3, (10, 14)), (6, (12, 12)),
                                        (2, (9, 9)), (1, (10, 14))])
@pytest.mark.parametrize('name', TURNED_SETS)
def test_labels_belong_to_images_as_they_are_stored(
        tmp_path, name, turn, size):
    """As for the publishers' loaders, which do not look at EXIF tags."""
    kind, kwargs, image, label = TURNED_SETS[name]
    for part in (image, label):
        (tmp_path / part).parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    tags = Image.Exif()
    tags[0x0112] = turn
    Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(
        tmp_path / image, format='JPEG', exif=tags)
    values = rng.integers(1, 256, size, np.uint8)
    values[0] = 255
    if kind is ETH3DDataset:
        (tmp_path / 'eth3d_filename_list.txt').write_text(f'{image} {label}')
        values.astype('<f4').tofile(tmp_path / label)
        load, field, scale = 'LoadDepth', 'gt_depth_map', 1
    else:
        Image.fromarray(values).save(tmp_path / label)
        load, field, scale = 'LoadAlpha', 'gt_alpha_map', 255
    sample = kind(data_root=str(tmp_path), **kwargs, pipeline=[
        dict(type='mmcv.LoadImageFromFile'),
        dict(type=f'genpercept_mm.{load}')])[0]
    np.testing.assert_allclose(
        sample['img'][..., ::-1].astype(int), as_stored(tmp_path / image),
        atol=3)
    np.testing.assert_allclose(sample[field] * scale, values, rtol=1e-5)
    assert sample['ori_shape'] == values.shape
