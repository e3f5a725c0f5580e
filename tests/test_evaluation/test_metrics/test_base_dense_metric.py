import json
import os

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from genpercept_mm.evaluation import BaseDenseMetric
from genpercept_mm.evaluation.metrics.base_dense_metric import (
    to_uint8,
    write_png,
)


class MeanErrorMetric(BaseDenseMetric):
    """Mean absolute error; a line of text per file."""

    label = 'depth'
    pred_fields = ('pred_depth_map', 'pred_disparity_map')

    def evaluate_sample(self, field, pred, label, mask):
        return dict(error=np.abs(pred - label)[:, mask].mean())

    def write(self, path, field, pred, sample):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + '.txt', 'w') as file:
            file.write(field)


def sample(error=0., name='a', index=0, size=(4, 5), **more):
    """A data sample as an evaluator hands it over."""
    meta = dict(img_path=f'root/{name}/{index}.jpg', dataset_name=name)
    meta.update(more)
    data = SegDataSample(metainfo=meta)
    label = torch.full((1, *size), 2.)
    data.pred_depth_map = PixelData(data=label + error)
    data.gt_depth_map = PixelData(data=label)
    return data


def evaluate(metric, samples):
    metric.process({}, [item.to_dict() for item in samples])
    return metric.evaluate(len(samples))


def test_samples_of_the_named_data_set_count():
    samples = [sample(1., 'a'), sample(10., 'b'), sample(3., 'a', 1)]
    assert evaluate(MeanErrorMetric(dataset_name='a'), samples) == {
        'a/error': 2.}
    assert list(evaluate(MeanErrorMetric(dataset_name=['a', 'b']), samples)
                ) == ['a+b/error']
    assert evaluate(MeanErrorMetric(dataset_name='b', prefix='depth'),
                    samples) == {'depth/error': 10.}
    assert evaluate(MeanErrorMetric(), samples) == {
        'error': pytest.approx(14 / 3)}


def test_unknown_data_set_lists_those_seen():
    with pytest.raises(
            ValueError, match=r"'nyu',\); names seen: \['a', 'b'\]"):
        evaluate(MeanErrorMetric(dataset_name='nyu'),
                 [sample(name='b'), sample(name='a')])


def test_results_hold_one_small_entry_per_sample():
    metric = MeanErrorMetric(dataset_name='a')
    metric.process({}, [sample(name=name, size=(50, 60)).to_dict()
                        for name in 'aba'])
    # mmengine drops None before it cuts off what a sampler repeated
    assert len(metric.results) == 3 and None not in metric.results
    assert not any(
        isinstance(value, (torch.Tensor, np.ndarray))
        for _, entry in metric.results if isinstance(entry, dict)
        for value in entry.values() if np.size(value) > 1)


def test_masked_pixels_and_empty_images_do_not_count():
    partly = sample(1.)
    partly.pred_depth_map.data[0, 0, 0] = 100.
    mask = torch.ones(1, 4, 5, dtype=torch.bool)
    mask[0, 0, 0] = False
    partly.gt_depth_mask = PixelData(data=mask)
    empty = sample(7., index=1)
    empty.gt_depth_mask = PixelData(data=torch.zeros_like(mask))
    assert evaluate(MeanErrorMetric(prefix='x'), [partly, empty]) == {
        'x/error': 1.}
    with pytest.raises(ValueError, match='1 image.*root/a/1.jpg'):
        evaluate(MeanErrorMetric(prefix='x'), [empty])


def test_metrics_of_whole_images_refuse_masks():
    class Whole(MeanErrorMetric):
        whole_images = True

    data = sample(1.)
    mask = torch.ones(1, 4, 5, dtype=torch.bool)
    data.gt_depth_mask = PixelData(data=mask)
    assert evaluate(Whole(prefix='x'), [data]) == {'x/error': 1.}
    mask[0, 2, 1:3] = False
    with pytest.raises(ValueError, match='leaves 2 pixels of root/a/0.jpg'):
        evaluate(Whole(prefix='x'), [data])


def test_messages_name_the_image_and_the_remedy():
    metric = MeanErrorMetric(prefix='x')
    other = sample().to_dict()
    other['pred_normal_map'] = other.pop('pred_depth_map')
    with pytest.raises(
            ValueError, match='pred_depth_map or pred_disparity_map is '
            r"missing for root/a/0.jpg.*\['pred_normal_map'\].*codec"):
        metric.process({}, [other])
    unlabelled = sample().to_dict()
    del unlabelled['gt_depth_map']
    with pytest.raises(ValueError, match='gt_depth_map is missing for '
                       'root/a/0.jpg.*format_only'):
        metric.process({}, [unlabelled])
    resized = sample().to_dict()
    resized['gt_depth_map'] = dict(data=torch.ones(1, 5, 5))
    with pytest.raises(ValueError, match=r'\(1, 4, 5\).*\(1, 5, 5\) for '
                       'root/a/0.jpg'):
        metric.process({}, [resized])
    broken = sample().to_dict()
    broken['pred_depth_map']['data'][0, 1, 1] = float('nan')
    with pytest.raises(ValueError, match='finite.*root/a/0.jpg'):
        metric.process({}, [broken])
    channels = sample().to_dict()
    channels['pred_depth_map'] = dict(data=torch.ones(3, 4, 5))
    with pytest.raises(ValueError, match=r'\(1, H, W\), got \(3, 4, 5\)'):
        metric.process({}, [channels])
    masked = sample().to_dict()
    masked['gt_depth_mask'] = dict(data=torch.ones(1, 4, 4))
    with pytest.raises(ValueError, match='gt_depth_mask must have shape'):
        metric.process({}, [masked])


def test_half_precision_predictions():
    data = sample(1.)
    data.pred_depth_map = PixelData(
        data=data.pred_depth_map.data.to(torch.bfloat16))
    assert evaluate(MeanErrorMetric(prefix='x'), [data]) == {'x/error': 1.}


def test_files_are_named_by_sample_else_by_image(tmp_path):
    metric = MeanErrorMetric(prefix='x', output_dir=str(tmp_path))
    named = sample(1., sample_name='scene/7')
    assert evaluate(metric, [named, sample(3.)]) == {'x/error': 2.}
    assert (tmp_path / 'scene/7.txt').read_text() == 'pred_depth_map'
    assert (tmp_path / '0.txt').is_file()
    # the same image again, as in the next epoch
    assert evaluate(metric, [named]) == {'x/error': 1.}
    with pytest.raises(ValueError, match='root/b/0.jpg and root/a/0.jpg'):
        evaluate(metric, [sample(name='b')])
    with pytest.raises(ValueError, match='must stay in output_dir'):
        evaluate(metric, [sample(sample_name='../7')])


def test_format_only_needs_no_labels(tmp_path):
    data = sample()
    del data.gt_depth_map
    metric = MeanErrorMetric(
        prefix='x', output_dir=str(tmp_path), format_only=True)
    assert evaluate(metric, [data]) == {}
    assert os.listdir(tmp_path) == ['0.txt']
    with pytest.raises(ValueError, match='format_only needs output_dir'):
        MeanErrorMetric(prefix='x', format_only=True)


def test_table_and_skipped_images_are_logged(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'genpercept_mm.evaluation.metrics.base_dense_metric.print_log',
        lambda text, **_: lines.append(text))
    empty = sample(index=1)
    empty.gt_depth_mask = PixelData(data=torch.zeros(1, 4, 5))
    evaluate(MeanErrorMetric(dataset_name='a'), [sample(.5), empty])
    assert 'skipped 1 image(s)' in lines[0] and 'root/a/1.jpg' in lines[0]
    assert lines[1].startswith('MeanErrorMetric a:')
    assert '|   1    | 0.5000 |' in lines[1]


def test_mmseg_test_tool_may_pass_keep_results():
    assert evaluate(MeanErrorMetric(prefix='x', keep_results=True),
                    [sample(1.)]) == {'x/error': 1.}
    with pytest.raises(TypeError, match='datset_name'):
        MeanErrorMetric(datset_name='a')


def test_quantization_truncates_but_keeps_multiples():
    values = np.arange(256, dtype=np.uint8)
    assert (to_uint8(values / 255) == values).all()
    assert (to_uint8((values / 255).astype(np.float32)) == values).all()
    assert to_uint8(np.array([-.1, .5, 254.9 / 255, 1.2])).tolist() == [
        0, 127, 254, 255]


def test_png_is_rgb_and_whole(tmp_path):
    picture = np.random.default_rng(0).integers(
        0, 65536, (4, 5, 3)).astype(np.uint16)
    write_png(str(tmp_path / 'new' / 'a.png'), picture)
    assert os.listdir(tmp_path / 'new') == ['a.png']
    there = cv2.imread(str(tmp_path / 'new' / 'a.png'), cv2.IMREAD_UNCHANGED)
    assert (there[..., ::-1] == picture).all()


# One process, then two with a sampler that repeats a sample
DISTRIBUTED = '''
import json, os, sys
import torch, torch.distributed, torch.multiprocessing
from mmengine.dataset import DefaultSampler
from genpercept_mm.evaluation import AffineDepthMetric, SurfaceNormalMetric

os.chdir(sys.argv[1])

def samples():
    generator = torch.Generator().manual_seed(0)
    for index in range(7):
        size = (8 + index, 9)
        name = 'depth' if index < 3 else 'normal'
        channels = 1 if index < 3 else 3
        yield dict(
            img_path=f'{index}.jpg', dataset_name=name,
            **{f'{kind}_{name}_map': dict(data=torch.rand(
                channels, *size, generator=generator) + .1)
               for kind in ('pred', 'gt')})

def evaluate():
    data = list(samples())
    metrics = [AffineDepthMetric(dataset_name='depth'),
               SurfaceNormalMetric(dataset_name='normal'),
               SurfaceNormalMetric(dataset_name='normal', prefix='images',
                                   pooling='images')]
    result, seen = {}, list(DefaultSampler(data, shuffle=False))
    for metric in metrics:
        for index in seen:
            metric.process({}, [data[index]])
        result.update(metric.evaluate(len(data)))
    return dict(result=result, seen=seen)

def work(rank):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{sys.argv[1]}/store', rank=rank,
        world_size=2)
    with open(f'{rank}.json', 'w') as file:
        json.dump(evaluate(), file)
    torch.distributed.destroy_process_group()

with open('single.json', 'w') as file:
    json.dump(evaluate(), file)
torch.multiprocessing.start_processes(work, nprocs=2, start_method='fork')
'''


def test_two_processes_and_a_padded_sampler_change_nothing(
        tmp_path, run_python):
    run_python('-c', DISTRIBUTED, tmp_path)
    single, first, second = (
        json.loads((tmp_path / f'{name}.json').read_text())
        for name in ('single', 0, 1))
    assert first['seen'] == [0, 2, 4, 6] and second['seen'] == [1, 3, 5, 0]
    assert len(single['result']) == 26
    assert first['result'] == second['result']
    assert first['result'] == pytest.approx(single['result'], rel=1e-12)
