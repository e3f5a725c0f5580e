import pytest
import torch
from toys import Scores, Toy, runner

CLASSES = dict(classes=('ground', 'disc'), palette=[[1, 2, 3], [4, 5, 6]])


class Data(list):
    """Images with what a data set knows about its classes."""

    def __init__(self, items, **metainfo):
        super().__init__(items)
        self.metainfo = metainfo


def meta_of(folder, checkpoint, **metainfo):
    """Test a checkpoint on such data; gives what the metric was told."""
    torch.save(dict(checkpoint, state_dict=Toy().state_dict()),
               folder / 'x.pth')
    scores = Scores('x', [1.])
    run = runner(folder, 1, hooks=[dict(type='genpercept_mm.ClassNamesHook')],
                 load_from=str(folder / 'x.pth'))
    loader = dict(run._train_dataloader, sampler=dict(
        type='DefaultSampler', shuffle=False))
    loader['dataset'] = Data(loader['dataset'], **metainfo)
    run._test_dataloader, run._test_loop = loader, dict()
    run._test_evaluator = [scores]
    run.test()
    assert run.visualizer.dataset_meta == scores.dataset_meta
    return scores.dataset_meta


@pytest.mark.parametrize('metainfo', [{}, dict(name='set')])
def test_data_without_classes_get_those_of_the_training(tmp_path, metainfo):
    checkpoint = dict(meta=dict(dataset_meta=dict(CLASSES, other=3)))
    assert meta_of(tmp_path, checkpoint, **metainfo) == {
        **metainfo, **CLASSES}


def test_classes_of_the_data_stay(tmp_path):
    checkpoint = dict(meta=dict(dataset_meta=CLASSES))
    assert meta_of(tmp_path, checkpoint, classes=('a', 'b')) == dict(
        classes=('a', 'b'))


@pytest.mark.parametrize('checkpoint', [
    {}, dict(meta=None), dict(meta=dict(dataset_meta=None)),
    dict(meta=dict(dataset_meta=dict(task='depth')))])
def test_a_checkpoint_without_classes_brings_none(tmp_path, checkpoint):
    assert meta_of(tmp_path, checkpoint, name='set') == dict(name='set')
