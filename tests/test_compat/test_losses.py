"""mmseg's cross entropy against torch's."""
import pytest
import torch
import torch.nn.functional as F
from mmseg.models.losses import CrossEntropyLoss
from mmseg.models.losses.cross_entropy_loss import cross_entropy

STOCK = cross_entropy.__wrapped__
WEIGHTS = torch.tensor([.2, 1., 3., .7])


def scene(ignore_index=255, share=.3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pred = torch.randn(2, 4, 5, 6, generator=generator, requires_grad=True)
    label = torch.randint(0, 4, (2, 5, 6), generator=generator)
    label[torch.rand(2, 5, 6, generator=generator) < share] = ignore_index
    return pred, label


@pytest.mark.parametrize('ignore_index', [255, -100, 3])
@pytest.mark.parametrize('share', [0., .3, .9])
def test_the_mean_over_counted_pixels_is_torchs(ignore_index, share):
    pred, label = scene(ignore_index, share)
    found = cross_entropy(
        pred, label, class_weight=WEIGHTS, ignore_index=ignore_index,
        avg_non_ignore=True)
    expected = F.cross_entropy(
        pred, label, weight=WEIGHTS, ignore_index=ignore_index)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(loss, pred, retain_graph=True)[0]
                 for loss in (found, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize('avg_non_ignore', [True, False])
@pytest.mark.parametrize('share', [0., .3])
def test_weights_of_one_change_nothing(avg_non_ignore, share):
    pred, label = scene(share=share)
    losses = [function(
        pred, label, class_weight=weight, ignore_index=255,
        avg_non_ignore=avg_non_ignore)
        for function, weight in ((cross_entropy, torch.ones(4)),
                                 (cross_entropy, None), (STOCK, None))]
    torch.testing.assert_close(losses[0], losses[1])
    assert losses[1] == losses[2]


def test_the_mean_over_all_pixels_by_hand():
    """Ignored ones are in the denominator with a weight of 1."""
    pred, label = scene()
    total = count = 0.
    for row, id_ in zip(pred.movedim(1, -1).reshape(-1, 4), label.flatten()):
        if id_ == 255:
            count += 1
            continue
        total -= WEIGHTS[id_] * row.log_softmax(0)[id_]
        count += WEIGHTS[id_]
    found = cross_entropy(
        pred, label, class_weight=WEIGHTS, ignore_index=255)
    torch.testing.assert_close(found, total / count)


def test_the_stock_function_fails_on_ignored_pixels():
    pred, label = scene()
    with pytest.raises(IndexError, match='index 255 is out of bounds'):
        STOCK(pred, label, class_weight=WEIGHTS, ignore_index=255)


@pytest.mark.parametrize('kwargs', [
    dict(class_weight=WEIGHTS), dict(class_weight=WEIGHTS, reduction='sum'),
    dict(class_weight=WEIGHTS, reduction='none'),
    dict(class_weight=WEIGHTS, avg_factor=7.), dict(avg_non_ignore=True),
    dict(weight=torch.linspace(0, 1, 60).reshape(2, 5, 6), avg_factor=3.)])
def test_where_nothing_is_ignored_or_averaged_it_is_the_stock_function(kwargs):
    pred, label = scene(share=0.)
    torch.testing.assert_close(
        cross_entropy(pred, label, ignore_index=255, **kwargs),
        STOCK(pred, label, ignore_index=255, **kwargs))


def test_a_batch_without_labels_has_no_loss():
    pred, label = scene(share=1.)
    for avg_non_ignore in (True, False):
        loss = cross_entropy(pred, label, class_weight=WEIGHTS,
                             ignore_index=255, avg_non_ignore=avg_non_ignore)
        assert loss == 0


def test_the_loss_of_a_config_takes_class_weights():
    pred, label = scene()
    loss = CrossEntropyLoss(
        class_weight=WEIGHTS.tolist(), avg_non_ignore=True, loss_weight=2.)
    torch.testing.assert_close(
        loss(pred, label, ignore_index=255),
        2 * F.cross_entropy(pred, label, weight=WEIGHTS, ignore_index=255))
