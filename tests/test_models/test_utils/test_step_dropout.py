import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from genpercept_mm.models.utils.step_dropout import use_step_dropout
from genpercept_mm.utils.step_draws import step_draws


def run(module, x, places):
    with step_draws(0, 3, places):
        return module(x)


@pytest.mark.parametrize('kind', [nn.Dropout, nn.Dropout2d])
def test_masks_belong_to_images(kind):
    model = nn.Sequential(kind(.3), kind(.1))
    use_step_dropout(model)
    x = torch.ones(6, 8, 5, 4)
    whole = run(model, x, range(6))
    parts = [run(model, x[first:first + 2], range(first, first + 2))
             for first in (0, 2, 4)]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(whole[0], whole[1])
    # what is kept is scaled as by torch
    assert set(whole.unique().tolist()) == {0., x[0, 0, 0, 0].div(.7).div(
        .9).item()}
    kept = (whole > 0).float()
    if kind is nn.Dropout2d:
        assert (kept.amin((2, 3)) == kept.amax((2, 3))).all()
    else:
        assert kept.mean() == pytest.approx(.63, abs=.05)


def test_elsewhere_it_is_torchs_own():
    plain, ours = nn.Dropout(.5), nn.Sequential(nn.Dropout(.5))
    use_step_dropout(ours)
    x = torch.ones(4, 100)
    torch.manual_seed(0)
    expected = plain(x)
    torch.manual_seed(0)
    assert torch.equal(ours(x), expected)
    assert torch.equal(run(ours.eval(), x, range(4)), x)
    # not a batch of images: at least the same in every run of the step
    once = run(ours.train(), x, range(3))
    assert torch.equal(run(ours, x, range(3)), once)
    assert set(once.unique().tolist()) == {0., 2.}


def test_gradient_checkpointing_sees_the_same_mask():
    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(.5), nn.Linear(8, 2))
    use_step_dropout(model)
    x, gradients = torch.randn(4, 8), []
    for wrapped in (False, True):
        leaf = x.clone().requires_grad_()
        with step_draws(0, 1, range(4)):
            out = (checkpoint(model, leaf, use_reentrant=False) if wrapped
                   else model(leaf))
            out.square().sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


def test_classes_that_inherit_dropout_follow_too():
    class Named(nn.Dropout):
        """As mmcv's, which only takes another argument."""

    class Other(nn.Dropout):

        def forward(self, x):
            return x

    model = nn.Sequential(Named(.5), Other(.5))
    use_step_dropout(model)
    x = torch.ones(4, 50)
    assert torch.equal(torch.cat([
        run(model[0], x[:2], range(2)), run(model[0], x[2:], range(2, 4))]),
        run(model[0], x, range(4)))
    assert isinstance(model[0], Named) and type(model[1]) is Other
