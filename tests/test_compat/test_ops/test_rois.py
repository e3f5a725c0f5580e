import math

import numpy as np
import pytest
import torch
from mmcv_cases import ROI_ALIGN_CASES, random_rois, stand_in_ops

from genpercept_mm.compat.ops import rois as rois_ops
from genpercept_mm.compat.ops.common import torchvision_ops

ops = pytest.fixture(stand_in_ops)


def loop_bilinear(plane, y, x):
    height, width = plane.shape
    if y < -1 or y > height or x < -1 or x > width:
        return 0.
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    return ((1 - dy) * ((1 - dx) * plane[top, left] + dx * plane[top, right]) +
            dy * ((1 - dx) * plane[bottom, left] + dx * plane[bottom, right]))


def loop_roi_align(maps, rois, bins, scale, ratio, mode, aligned):
    out = np.zeros((len(rois), maps.shape[1], *bins))
    shift = 0.5 if aligned else 0.
    for n, (image, *box) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (value * scale - shift for value in box)
        sides = [(y1, y2 - y1), (x1, x2 - x1)]
        if not aligned:
            sides = [(start, max(extent, 1.)) for start, extent in sides]
        grid = [
            ratio or math.ceil(extent / count)
            for (_, extent), count in zip(sides, bins)
        ]
        for c, p, q in np.ndindex(*out.shape[1:]):
            values = [
                loop_bilinear(maps[int(image), c].numpy(), *[
                    start + (b + (s + 0.5) / g) * extent / count
                    for (start, extent), b, s, g, count in zip(
                        sides, (p, q), sample, grid, bins)
                ]) for sample in np.ndindex(*grid)
            ]
            if mode == 'avg':
                out[n, c, p, q] = sum(values) / max(len(values), 1)
            else:
                out[n, c, p, q] = max(values, default=-10000.)
    return torch.from_numpy(out)


@pytest.mark.parametrize('mode, aligned, ratio', ROI_ALIGN_CASES)
def test_roi_align_equals_loop(ops, monkeypatch, mode, aligned, ratio):
    # Small budgets, so that groups are split.
    monkeypatch.setattr(rois_ops, 'SAMPLE_BUDGET', 60)
    monkeypatch.setattr(rois_ops, 'VALUE_BUDGET', 60)
    generator = torch.Generator().manual_seed(7)
    maps = torch.randn(2, 2, 9, 8, generator=generator, dtype=torch.float64)
    rois = random_rois().double()
    args = (rois, (3, 2), 0.1, ratio, mode, aligned)
    torch.testing.assert_close(
        ops.roi_align(maps, *args),
        loop_roi_align(maps, rois, (3, 2), 0.1, ratio, mode, aligned))
    assert torch.autograd.gradcheck(
        lambda x: ops.roi_align(x, *args),
        maps.clone().requires_grad_(),
        fast_mode=True)


def test_roi_align_of_a_ramp_is_the_bin_centre(ops):
    y, x = torch.meshgrid(
        torch.arange(16.), torch.arange(16.), indexing='ij')
    maps = torch.stack([y, x])[None] + 0.5
    rois = torch.tensor([[0., 2., 3., 10., 15.]])
    pooled = ops.roi_align(maps, rois, (3, 4))
    expected = torch.stack(
        torch.meshgrid(
            torch.tensor([5., 9., 13.]),
            torch.tensor([3., 5., 7., 9.]),
            indexing='ij'))
    torch.testing.assert_close(pooled[0], expected)


def test_roi_align_writes_where_the_maximum_lies():
    maps = torch.zeros(1, 1, 8, 8)
    maps[0, 0, 5, 2] = 3.
    rois = torch.tensor([[0., 0., 0., 8., 8.], [0., 5., 5., 4., 4.]])
    out, row, column = (torch.zeros(2, 1, 1, 1) for _ in range(3))
    rois_ops.roi_align_forward(
        maps,
        rois,
        out,
        row,
        column,
        aligned_height=1,
        aligned_width=1,
        spatial_scale=1.,
        sampling_ratio=0,
        pool_mode=0,
        aligned=True)
    # The second RoI has a negative size, so no sample.
    assert out.flatten().tolist() == [3., -10000.]
    assert row.flatten().tolist() == [5., -1.]
    assert column.flatten().tolist() == [2., -1.]


def test_roi_align_of_a_negative_size_is_zero(ops):
    maps = torch.ones(1, 1, 8, 8, requires_grad=True)
    pooled = ops.roi_align(maps, torch.tensor([[0., 5., 5., 4., 4.]]), 2)
    assert pooled.flatten().tolist() == [0.] * 4
    pooled.sum().backward()
    assert maps.grad.abs().sum() == 0


@pytest.mark.parametrize('mode', ['avg', 'max'])
def test_roi_align_without_rois(ops, mode):
    maps = torch.ones(1, 3, 8, 8, requires_grad=True)
    pooled = ops.roi_align(maps, torch.zeros(0, 5), 2, 1., 0, mode)
    assert pooled.shape == (0, 3, 2, 2)
    pooled.sum().backward()
    assert maps.grad.abs().sum() == 0


def loop_roi_pool(maps, rois, bins, scale):
    out = torch.zeros(len(rois), maps.shape[1], *bins, dtype=maps.dtype)
    for n, (image, x1, y1, x2, y2) in enumerate(rois.tolist()):
        y1, x1, y2, x2 = (v * scale for v in (y1, x1, y2 + 1, x2 + 1))
        if y2 <= y1 or x2 <= x1:
            continue
        for p, q in np.ndindex(*bins):
            cells = [(y, x) for y, x in np.ndindex(*maps.shape[2:])
                     if y1 + p * (y2 - y1) / bins[0] < y + 1
                     and y < y1 + (p + 1) * (y2 - y1) / bins[0]
                     and x1 + q * (x2 - x1) / bins[1] < x + 1
                     and x < x1 + (q + 1) * (x2 - x1) / bins[1]]
            if cells:
                out[n, :, p, q] = torch.stack(
                    [maps[int(image), :, y, x] for y, x in cells]).amax(0)
    return out


def test_roi_pool_equals_loop(ops):
    generator = torch.Generator().manual_seed(8)
    maps = torch.randn(2, 2, 9, 8, generator=generator, dtype=torch.float64)
    rois = torch.cat([random_rois(), torch.tensor([[0., 9, 9, 2, 2]])])
    rois = rois.double()
    torch.testing.assert_close(
        ops.roi_pool(maps, rois, (3, 2), 0.1),
        loop_roi_pool(maps, rois, (3, 2), 0.1))
    assert torch.autograd.gradcheck(
        lambda x: ops.roi_pool(x, rois, (3, 2), 0.1),
        maps.requires_grad_(),
        fast_mode=True)


class FakeTorchvision:
    """Answer torchvision's two RoI ops and note the arguments."""

    def __init__(self):
        self.calls = []

    def roi_align(self, *args):
        self.calls.append(args[2:])
        return torch.full((len(args[1]), args[0].shape[1], *args[3:5]), 2.)

    def _roi_align_backward(self, *args):
        self.calls.append(args[2:])
        return torch.full(args[5:9], 3.)


def test_roi_align_calls_torchvision_off_the_cpu(monkeypatch):
    fake = FakeTorchvision()
    asked = []
    monkeypatch.setattr(rois_ops, 'torchvision_ops',
                        lambda device: asked.append(device) or fake)
    shared = dict(
        aligned_height=3,
        aligned_width=2,
        spatial_scale=0.5,
        sampling_ratio=4,
        pool_mode=1,
        aligned=True)

    class Elsewhere(torch.Tensor):
        device = torch.device('cuda')

    maps = torch.zeros(1, 5, 6, 7).as_subclass(Elsewhere)
    rois, none = torch.zeros(2, 5), torch.zeros(0)
    out = torch.zeros(2, 5, 3, 2)
    rois_ops.roi_align_forward(maps, rois, out, none, none, **shared)
    assert (out == 2).all()
    grad = torch.ones(1, 5, 6, 7)
    rois_ops.roi_align_backward(
        out.as_subclass(Elsewhere), rois, none, none, grad, **shared)
    assert (grad == 4).all()
    assert fake.calls == [(0.5, 3, 2, 4, True),
                          (0.5, 3, 2, 1, 5, 6, 7, 4, True)]
    assert asked == ['cuda', 'cuda']
    rois_ops.roi_align_forward(torch.zeros(1, 5, 6, 7), rois, out, none, none,
                               **shared)
    assert (out == 0).all() and len(fake.calls) == 2


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('ratio', [0, 2])
def test_torchvision_agrees(aligned, ratio):
    ops = torchvision_ops('cpu')
    if ops is None:
        pytest.skip('torchvision with compiled ops for this torch is missing')
    generator = torch.Generator().manual_seed(9)
    maps = torch.randn(2, 3, 24, 20, generator=generator)
    rois, none = random_rois(), torch.zeros(0)
    out, grad = torch.zeros(8, 3, 5, 4), torch.zeros_like(maps)
    rois_ops.roi_align_forward(maps, rois, out, none, none, 5, 4, 0.25, ratio,
                               1, aligned)
    rois_ops.roi_align_backward(out, rois, none, none, grad, 5, 4, 0.25,
                                ratio, 1, aligned)
    args = rois, 0.25, 5, 4
    torch.testing.assert_close(
        ops.roi_align(maps, *args, ratio, aligned), out, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        ops._roi_align_backward(out, *args, *maps.shape, ratio, aligned),
        grad,
        rtol=1e-5,
        atol=1e-5)
