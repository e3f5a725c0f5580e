import os

import cv2
import numpy as np
import pytest
from mmengine.dataset import ConcatDataset

from genpercept_mm.datasets import (
    AIM500Dataset,
    BaseDenseDataset,
    DIS5KDataset,
    LoadAlpha,
)


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
