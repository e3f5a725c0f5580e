import pytest
import torch
from torch import nn

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
    # not a batch of images
    torch.manual_seed(0)
    assert torch.equal(run(ours, x, range(3)), expected)
    assert torch.equal(run(ours.eval(), x, range(4)), x)
