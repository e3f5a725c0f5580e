import json
import os

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.multiprocessing import start_processes

from genpercept_mm.evaluation import (
    AffineDepthMetric,
    BaseDenseMetric,
    DISMetric,
    MattingMetric,
    SurfaceNormalMetric,
)
from genpercept_mm.evaluation.metrics.base_dense_metric import to_uint8


class MeanErrorMetric(BaseDenseMetric):
    """Mean absolute error; a line of text per file."""

    label = 'depth'
    pred_fields = ('pred_depth_map', 'pred_disparity_map')

    def evaluate_sample(self, field, pred, label, mask):
        return dict(error=np.abs(pred - label)[:, mask].mean())

    def to_file(self, field, pred, sample):
        if not pred.any():
            return None
        return '.txt', field.encode()


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
            ValueError, match=r"'nyu',\); names found: \['a', 'b'\]"):
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


def test_a_prediction_may_have_no_file(tmp_path):
    metric = MeanErrorMetric(prefix='x', output_dir=str(tmp_path))
    assert evaluate(metric, [sample(-2.)]) == {'x/error': 2.}
    assert os.listdir(tmp_path) == []


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


class NotFiniteMetric(MeanErrorMetric):

    def evaluate_sample(self, field, pred, label, mask):
        bad = np.float64(pred.max())
        return dict(good=1., error=bad, errors=np.array([0, bad]))


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_entries_that_are_not_finite_name_the_image(monkeypatch, bad):
    metric = NotFiniteMetric(prefix='x')
    metric.process({}, [sample().to_dict()])
    monkeypatch.setattr(metric, 'read_prediction', lambda sample: (
        'pred_depth_map', np.full((1, 4, 5), bad)))
    with pytest.raises(ValueError, match=r"NotFiniteMetric: \['error', "
                       r"'errors'\] of root/a/1.jpg are not finite"):
        metric.process({}, [sample(index=1).to_dict()])


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_labels_that_are_not_finite(bad):
    """They are left out of means over pixels, and refused over images."""
    data = sample(1.).to_dict()
    data['pred_depth_map']['data'][0, 1, 1] = 50.
    data['gt_depth_map']['data'][0, 1, 1] = bad
    metric = MeanErrorMetric(prefix='x')
    metric.process({}, [data])
    assert metric.evaluate(1) == {'x/error': 1.}
    metric.whole_images = True
    with pytest.raises(ValueError, match='gt_depth_map must be finite, got '
                       'NaN or infinity for root/a/0.jpg'):
        metric.process({}, [data])


def test_tiny_labels_do_not_give_infinity():
    """The square relative error divides by the label."""
    data = sample().to_dict()
    data['gt_depth_map'] = dict(data=torch.full(
        (1, 4, 5), 1e-310, dtype=torch.float64))
    metric = AffineDepthMetric(alignment=None, min_depth=0., prefix='x')
    with np.errstate(all='ignore'), pytest.raises(
            ValueError, match='AffineDepthMetric: .*sq_rel.* of root/a/0.jpg '
            'are not finite'):
        metric.process({}, [data])


def blob():
    rows, columns = np.ogrid[:40, :50]
    return np.clip(15 - np.hypot(rows - 18, columns - 26), 0, 1)


def ramp():
    return np.linspace(1, 9, 2000).reshape(40, 50)


def tilted():
    angle = np.linspace(0, 1, 2000).reshape(40, 50)
    return np.stack([np.sin(angle), 0 * angle, np.cos(angle)])


@pytest.mark.parametrize('metric, label, kwargs', [
    (AffineDepthMetric, ramp, {}), (AffineDepthMetric, ramp, dict(
        alignment=None)), (SurfaceNormalMetric, tilted, {}),
    (DISMetric, blob, {}), (DISMetric, blob, dict(with_hce=False)),
    (MattingMetric, blob, {}), (MattingMetric, blob, dict(
        classical_grad=True))])
def test_every_number_has_a_rule_by_which_the_label_is_best(
        metric, label, kwargs):
    if metric is DISMetric:
        pytest.importorskip('py_sod_metrics')
    label = label()
    noise = np.random.default_rng(0).uniform(-1, 1, label.shape)
    best = metric.calculate(label, label, **kwargs)
    worse = metric.calculate(label + noise * label.max(), label, **kwargs)
    assert best.keys() <= metric.BETTER.keys()
    if kwargs.get('with_hce', True):
        assert best.keys() == metric.BETTER.keys()
    for name, rule in metric.BETTER.items():
        assert rule in ('less', 'greater')
        if name in best:
            less = best[name] < worse[name]
            assert less == (rule == 'less') and best[name] != worse[name]


def distributed_samples():
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


def evaluate_share(path):
    """Evaluate the samples of this process, and write the numbers."""
    data = list(distributed_samples())
    metrics = [AffineDepthMetric(dataset_name='depth'),
               SurfaceNormalMetric(dataset_name='normal'),
               SurfaceNormalMetric(dataset_name='normal', prefix='images',
                                   pooling='images')]
    result, seen = {}, list(DefaultSampler(data, shuffle=False))
    for metric in metrics:
        for index in seen:
            metric.process({}, [data[index]])
        result.update(metric.evaluate(len(data)))
    path.write_text(json.dumps(dict(result=result, seen=seen)))


def evaluate_as_rank(rank, folder):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank,
        world_size=2)
    # mmengine exchanges results through a folder in the working one
    os.chdir(folder)
    evaluate_share(folder / f'{rank}.json')
    torch.distributed.destroy_process_group()


def test_two_processes_and_a_padded_sampler_change_nothing(tmp_path):
    evaluate_share(tmp_path / 'single.json')
    start_processes(evaluate_as_rank, (tmp_path, ), nprocs=2,
                    start_method='fork')
    single, first, second = (
        json.loads((tmp_path / f'{name}.json').read_text())
        for name in ('single', 0, 1))
    assert first['seen'] == [0, 2, 4, 6] and second['seen'] == [1, 3, 5, 0]
    assert len(single['result']) == 26
    assert first['result'] == second['result']
    assert first['result'] == pytest.approx(single['result'], rel=1e-12)
