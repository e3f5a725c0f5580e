"""Exported files against the model itself."""
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT, assert_near
from mini_models import CHANGES, MINI, build

from genpercept_mm.apis.model_export import ImageToMap, export_model


def images(size, batch=2):
    return torch.randint(
        0, 256, (batch, *size, 3), dtype=torch.uint8,
        generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('kind', ['depth', 'normal', 'classes-by-colour',
                                  'dpt', 'upernet', 'readout-classes'])
@torch.no_grad()
def test_a_picture_becomes_what_the_model_predicts(kind):
    from mmseg.structures import SegDataSample
    model, given = build(kind), images((64, 128))
    # folding, which rounds, has tests of its own
    network = ImageToMap(model)
    samples = [SegDataSample(metainfo=dict(
        ori_shape=(64, 128), img_shape=(64, 128))) for _ in given]
    # loaders give BGR
    data = model.data_preprocessor(dict(
        inputs=list(given.permute(0, 3, 1, 2).flip(1)),
        data_samples=samples), False)
    field = ('pred_sem_seg' if not hasattr(model, 'codec')
             else model.codec.pred_field)
    expected = torch.stack([
        sample.get(field).data for sample in model.predict(**data)])
    result = network(given)
    if result.is_floating_point():
        expected = expected[:, 0] if expected.shape[1] == 1 else (
            expected.permute(0, 2, 3, 1))
        # unit length magnifies the rounding of short vectors
        assert_near(result, expected, rel=1e-3 if kind == 'normal' else 1e-5)
    else:
        assert torch.equal(result, expected[:, 0])
    assert network.facts()['quantity'] == network.quantity
    json.dumps(network.facts())


@torch.no_grad()
def test_networks_that_start_from_noise():
    """With the noise that the model itself draws for a name."""
    from genpercept_mm.diffusion import gaussian_noise, image_generator
    model, given = build('marigold'), images((64, 128), 1)
    network = ImageToMap(model)
    x = (given.permute(0, 3, 1, 2).float() - network.mean) / network.std
    expected, = model.predict(x)
    noise = gaussian_noise((1, 4, 8, 16), image_generator(0, None), 'cpu')
    assert_near(network(given, noise), expected.pred_depth_map.data)
    assert network(given, -noise).sub(network(given, noise)).abs().max() > .01


@torch.no_grad()
def test_networks_that_take_bgr():
    """As mmseg's, if its preprocessor does not convert."""
    model, given = build('depth'), images((64, 64), 1)
    expected = ImageToMap(build('depth'))(given.flip(-1))
    model.data_preprocessor.channel_conversion = False
    assert torch.equal(ImageToMap(model)(given), expected)


def exported(kind, path, **options):
    lines = []
    report = export_model(build(kind), str(path), report=lines.append,
                          **options)
    assert os.listdir(path.parent) == [path.name]
    # unit length magnifies the rounding of short vectors
    limit = dict(sem_seg=1e-3, normal=1e-3).get(
        report['facts']['quantity'], 1e-4)
    for check in report['checks']:
        assert check['largest_difference'] < limit
    return report, lines


@pytest.mark.nightly
@pytest.mark.parametrize('kind, suffix', [
    (kind, suffix) for kind in (*MINI, *CHANGES) for suffix in ('pt2', 'onnx')
    if (kind, suffix) != ('dpt', 'onnx')])
def test_files_take_any_size(kind, suffix, tmp_path):
    report, _ = exported(kind, tmp_path / f'model.{suffix}')
    assert report['multiple'] == (64 if kind == 'dpt' else 8)
    assert [check['batch'] for check in report['checks']] == [1, 2, 1]


@pytest.mark.nightly
@pytest.mark.parametrize('suffix', ['pt2', 'onnx'])
def test_a_fixed_size(suffix, tmp_path):
    """Where the head's own sizes are multiples of 64."""
    exported('dpt', tmp_path / f'model.{suffix}', size=(72, 104))


@pytest.mark.nightly
def test_a_prediction_without_torch(tmp_path):
    """The example of the documents, with onnxruntime and NumPy alone."""
    import cv2
    with open(f'{ROOT}/docs/export.md') as file:
        example = file.read().split('```python\n')[1].split('```')[0]
    assert len(example.splitlines()) <= 30
    model = build('readout')
    cv2.imwrite(str(tmp_path / 'photo.jpg'), np.tile(np.linspace(
        0, 255, 200, dtype=np.uint8)[None, :, None], (136, 1, 3)))
    export_model(model, str(tmp_path / 'out/model.onnx'), report=str)
    os.rename(tmp_path / 'out/model.onnx', tmp_path / 'model.onnx')
    forbid = ("import sys\nfor name in ('torch', 'mmengine', 'genpercept_mm'):"
              '\n    sys.modules[name] = None\n')
    subprocess.run([sys.executable, '-c', forbid + example], cwd=tmp_path,
                   check=True)
    given = torch.from_numpy(cv2.imread(
        str(tmp_path / 'photo.jpg'))[..., ::-1].copy())[None]
    with torch.no_grad():
        expected = ImageToMap(model)(given)[0]
    assert_near(torch.from_numpy(np.load(tmp_path / 'depth.npy')), expected,
                rel=1e-4)


@pytest.mark.nightly
def test_files_run_in_openvino(tmp_path):
    openvino = pytest.importorskip('openvino')
    path = tmp_path / 'model.onnx'
    exported('readout', path)
    network = openvino.Core().compile_model(
        str(path), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    given = images((80, 104))
    with torch.no_grad():
        expected = ImageToMap(build('readout'))(given)
    assert_near(torch.from_numpy(network({'image': given.numpy()})[0]),
                expected, rel=1e-4)


@pytest.mark.nightly
def test_what_cannot_be_exported_is_said(tmp_path):
    with pytest.raises(ValueError, match='such as DPT, .* give a fixed size'):
        export_model(build('dpt'), str(tmp_path / 'model.onnx'), report=str)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize('path, options, message', [
    ('model.pth', {}, "suffix must be one of .*.onnx.*, got '.pth'"),
    ('model.pt2', dict(size=(64, 100)), r'multiples of 8, got \(64, 100\)')])
def test_arguments(path, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_model(None, str(tmp_path / path), **options)
    assert not os.listdir(tmp_path)


def test_missing_packages_are_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    with pytest.raises(ImportError, match=r'needs onnxscript; .*\[export\]'):
        export_model(None, str(tmp_path / 'model.onnx'))


def test_detectors_are_refused():
    from mmdet.registry import MODELS
    from mmengine.config import Config
    from mmengine.registry import DefaultScope
    cfg = Config.fromfile('configs/mixing/mmdet_faster-rcnn_coco.py')
    cfg.model.backbone.update(arch='mini', pretrained=None)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(cfg.model)
    with pytest.raises(ValueError, match='export: a FasterRCNN gives neither'):
        ImageToMap(model)
