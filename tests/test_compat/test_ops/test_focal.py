import math

import pytest
import torch
import torch.nn.functional as F
from mmcv_cases import stand_in_ops

ops = pytest.fixture(stand_in_ops)


def focal_inputs(dtype=torch.float64):
    generator = torch.Generator().manual_seed(10)
    logits = torch.randn(12, 5, generator=generator, dtype=dtype) * 3
    return logits, torch.arange(12) % 6  # label 5 is background


@pytest.mark.parametrize('gamma', [0., 0.5, 2.])
@pytest.mark.parametrize('reduction', ['mean', 'sum', 'none'])
def test_sigmoid_focal_loss(ops, gamma, reduction):
    logits, labels = focal_inputs()
    weight = torch.rand(5, dtype=torch.float64) + 0.5
    loss = ops.sigmoid_focal_loss(logits, labels, gamma, 0.3, weight,
                                  reduction)
    p = logits.sigmoid()
    hot = F.one_hot(labels, 6)[:, :5]
    right = torch.where(hot == 1, p, 1 - p)
    share = torch.where(hot == 1, 0.3, 0.7)
    factor = torch.cat([weight, weight.new_ones(1)])[labels]
    expected = -share * (1 - right)**gamma * right.log() * factor[:, None]
    if reduction != 'none':
        expected = expected.sum() / (12 if reduction == 'mean' else 1)
    torch.testing.assert_close(loss, expected)
    assert torch.autograd.gradcheck(
        lambda x: ops.sigmoid_focal_loss(x, labels, gamma, 0.3, weight,
                                         reduction), logits.requires_grad_())


def test_sigmoid_focal_loss_equals_mmdet(ops):
    losses = pytest.importorskip('mmdet.models.losses.focal_loss')
    logits, labels = focal_inputs(torch.float32)
    logits.requires_grad_()
    results = []
    for loss in (ops.sigmoid_focal_loss(logits, labels, 2., 0.25, None,
                                        'sum'),
                 losses.py_sigmoid_focal_loss(
                     logits, F.one_hot(labels, 6)[:, :5], reduction='sum')):
        results.append((loss, *torch.autograd.grad(loss, logits)))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)


def test_sigmoid_focal_loss_of_a_confident_error(ops):
    # mmcv's CUDA code would stop at log(FLT_MIN) = -87.3 for logit 30.
    logits = torch.tensor([[30., -200.]], requires_grad=True)
    loss = ops.sigmoid_focal_loss(logits, torch.tensor([1]), 2., .25, None,
                                  'sum')
    assert loss.item() == pytest.approx(.75 * 30 + .25 * 200)
    loss.backward()
    assert logits.grad[0].tolist() == pytest.approx([.75, -.25])


@pytest.mark.parametrize('gamma', [0., 0.5, 2.])
def test_softmax_focal_loss(ops, gamma):
    logits, labels = focal_inputs()
    labels = labels % 5
    weight = torch.rand(5, dtype=torch.float64) + 0.5
    loss = ops.softmax_focal_loss(logits, labels, gamma, 0.3, weight, 'mean')
    cross = F.cross_entropy(logits, labels, reduction='none')
    expected = 0.3 * (1 - (-cross).exp())**gamma * cross * weight[labels]
    torch.testing.assert_close(loss, expected.mean())
    assert torch.autograd.gradcheck(
        lambda x: ops.softmax_focal_loss(x, labels, gamma, 0.3, weight, 'mean'
                                         ), logits.requires_grad_())


@pytest.mark.parametrize('gamma', [0., 0.5, 2.])
def test_softmax_focal_loss_is_finite_when_sure(ops, gamma):
    logits = torch.tensor([[300., 0.], [0., 300.]], requires_grad=True)
    loss = ops.softmax_focal_loss(logits, torch.tensor([0, 0]), gamma, 1.,
                                  None, 'sum')
    assert loss.item() == pytest.approx(-math.log(1.1754944e-38))
    loss.backward()
    assert logits.grad[0].tolist() == [0., 0.]
    assert logits.grad[1].tolist() == pytest.approx([-1., 1.])


@pytest.mark.parametrize('gamma', [0., 2.])
def test_softmax_focal_loss_ignores_other_labels(ops, gamma):
    logits, _ = focal_inputs()
    logits = logits[:2].requires_grad_()
    loss = ops.softmax_focal_loss(logits, torch.tensor([-1, 5]), gamma, .25,
                                  None, 'sum')
    loss.backward()
    assert loss.item() == 0 and logits.grad.abs().sum() == 0
