"""The ops together: mmcv's calls fit, and compiled mmcv gives the same."""
import ast
import contextlib
import importlib
import inspect
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import mmcv_cases
import pytest
import torch
from conftest import ROOT, SHARED
from mmcv_cases import (
    attention_inputs,
    random_boxes,
    random_rois,
    stand_in_ops,
)

from genpercept_mm.compat.ops import OPS

WHEELS = Path(SHARED, 'wheels')
ops = pytest.fixture(stand_in_ops)


@pytest.fixture(scope='module')
def compiled(tmp_path_factory):
    tag = f'cp{sys.version_info[0]}{sys.version_info[1]}'
    wheels = sorted(WHEELS.glob(f'mmcv-2.1.0-{tag}-*.whl'))
    if not wheels:
        pytest.skip(f'no compiled mmcv: shared/wheels/mmcv-2.1.0-{tag}-*.whl '
                    'beside the repository is missing')
    folder = tmp_path_factory.mktemp('compiled_mmcv')
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(folder)
    results = folder / 'results.pth'
    run = subprocess.run([sys.executable, mmcv_cases.__file__,
                          str(results)],
                         env=dict(
                             os.environ,
                             PYTHONPATH=f'{folder}{os.pathsep}{ROOT}',
                             OMP_NUM_THREADS='1'),
                         capture_output=True,
                         text=True)
    if run.returncode == mmcv_cases.NOT_COMPILED:
        pytest.skip(f'{wheels[0].name} does not load with this torch')
    assert run.returncode == 0, run.stderr
    return torch.load(results, weights_only=True)


@pytest.fixture(scope='module')
def ours():
    with contextlib.contextmanager(stand_in_ops)():
        return mmcv_cases.evaluate()


@pytest.mark.parametrize('op', [
    'nms', 'soft_nms', 'nms_match', 'batched_nms', 'bbox_overlaps',
    'roi_align', 'deform_conv2d', 'modulated_deform_conv2d'
])
def test_equals_compiled_mmcv(compiled, ours, op):
    assert compiled.keys() == ours.keys()
    keys = [key for key in ours if key.split()[0] == op]
    assert len(keys) >= 4
    for key in keys:
        torch.testing.assert_close(
            ours[key],
            compiled[key],
            rtol=1e-5,
            atol=1e-5,
            equal_nan=True,
            msg=lambda text: f'{key}: {text}')


def test_every_call_in_mmcv_fits():
    seen = set()
    for name in mmcv_cases.WRAPPERS:
        source = inspect.getsource(
            importlib.import_module(f'mmcv.ops.{name}'))
        for node in ast.walk(ast.parse(source)):
            if not (isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and getattr(node.func.value, 'id', '') == 'ext_module'
                    and node.func.attr in OPS):
                continue
            # `nms_match` and a foreign branch of `soft_nms` unpack a list
            # and a dict; their names are checked by running them.
            if any(isinstance(x, ast.Starred) for x in node.args):
                seen.add(node.func.attr)
                continue
            keywords = {keyword.arg: None for keyword in node.keywords}
            inspect.signature(OPS[node.func.attr]).bind(
                *node.args, **keywords)
            seen.add(node.func.attr)
    assert seen == set(OPS)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_low_precision_is_computed_in_float32(ops, dtype):
    generator = torch.Generator().manual_seed(14)

    def low(tensor):
        return tensor.to(dtype)

    boxes, scores = low(random_boxes(40, generator)), low(
        torch.rand(40, generator=generator))
    maps = low(torch.randn(2, 3, 24, 20, generator=generator))
    offset = low(torch.randn(2, 18, 24, 20, generator=generator))
    weight = low(torch.randn(4, 3, 3, 3, generator=generator))
    value, shapes, starts, where, share = attention_inputs()
    attend = importlib.import_module(
        'mmcv.ops.multi_scale_deform_attn').MultiScaleDeformableAttnFunction
    labels = torch.arange(40) % 4

    def results(cast):
        leaf = cast(maps).clone().requires_grad_()
        pooled = [
            ops.roi_align(leaf, cast(low(random_rois())), 3, 0.25, 0, mode)
            for mode in ('avg', 'max')
        ] + [ops.roi_pool(leaf, cast(low(random_rois())), 3, 0.25)]
        ious = ops.bbox_overlaps(cast(boxes), cast(boxes))
        kernel = cast(weight)
        return [
            ops.nms(cast(boxes), cast(scores), 0.5)[1],
            ops.soft_nms(cast(boxes), cast(scores), 0.5)[0],
            *ops.nms_match(torch.cat([boxes, scores[:, None]], 1), 0.5),
            ious,
            *pooled,
            torch.autograd.grad(sum(x.sum() for x in pooled), leaf)[0],
            ops.deform_conv2d(leaf, cast(offset), kernel, 1, 1),
            ops.modulated_deform_conv2d(leaf, cast(offset),
                                        cast(offset[:, :9]), kernel, None, 1,
                                        1),
            attend.apply(
                cast(low(value)), shapes, starts, cast(low(where)),
                cast(low(share)), 64),
            ops.sigmoid_focal_loss(cast(boxes) / 50, labels),
            ops.softmax_focal_loss(cast(boxes) / 50, labels),
        ]

    step = torch.finfo(dtype).eps
    for got, expected in zip(
            results(low), results(lambda tensor: low(tensor).float())):
        assert got.dtype in (dtype, torch.long)
        torch.testing.assert_close(
            got.float(), expected.float(), rtol=2 * step, atol=8 * step)
