"""A VAE in strips of rows against diffusers' own."""
import copy

import pytest
import torch
from conftest import assert_near
from weights import ODD, build_parts

from genpercept_mm.models.utils.vae_strips import Strips, run_in_strips


@pytest.fixture(scope='module')
def vae():
    return build_parts()[1]


@pytest.mark.parametrize('strip', [1, 5000, 2**24])
@pytest.mark.parametrize('size', [(64, 96), (61, 75), (9, 8), (30, 17)])
@torch.no_grad()
def test_equals_diffusers(vae, size, strip):
    torch.manual_seed(0)
    image = torch.rand(2, 3, *size) * 2 - 1
    moments = vae.encoder(image)
    decoded = vae.decoder(moments[:, :4])
    striped = copy.deepcopy(vae)
    run_in_strips(striped, Strips(strip))
    assert_near(striped.encoder(image), moments)
    assert_near(striped.decoder(moments[:, :4]), decoded)


@torch.no_grad()
def test_other_widths_and_one_side_alone():
    vae = build_parts(ODD)[1]
    image = torch.rand(1, 3, 40, 24)
    moments = vae.encoder(image)
    del vae.decoder
    run_in_strips(vae, Strips(2000))
    assert_near(vae.encoder(image), moments)


@torch.no_grad()
def test_statistics_of_maps_far_from_zero():
    """Sums of squares would lose all digits."""
    norm = torch.nn.GroupNorm(2, 4).requires_grad_(False)
    strips, x = Strips(100), torch.randn(1, 4, 50, 7) + 10000
    strips.device = x.device
    expected = torch.nn.functional.group_norm(x.double(), 2).float()
    assert_near(strips.normalization(norm, x)(x), expected, rel=1e-3)


@torch.no_grad()
def test_only_a_strip_is_processed_at_once(vae):
    striped, rows = copy.deepcopy(vae), []
    run_in_strips(striped, Strips(16 * 96 * 10))
    striped.encoder.down_blocks[0].resnets[0].conv1.register_forward_hook(
        lambda module, args, output: rows.append(args[0].shape[2]))
    striped.encoder(torch.rand(1, 3, 64, 96))
    # ten rows, and one of halo on each side
    assert max(rows) == 12 and sum(rows) == 64 + 2 * 6


def test_blocks_of_other_kinds_are_refused(vae):
    other = copy.deepcopy(vae)
    other.encoder.down_blocks[0] = torch.nn.Identity()
    with pytest.raises(ValueError, match='a VAE with .*Identity'):
        run_in_strips(other, Strips())
