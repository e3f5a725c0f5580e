import pytest
import torch
from benchmarking.variants import Variants
from conftest import assert_near

IMAGES = torch.rand(2, 3, 64, 72, generator=torch.Generator().manual_seed(
    0)) * 2 - 1


@pytest.fixture(scope='module')
def variants():
    return Variants('mini', 'cpu')


@torch.no_grad()
def test_the_same_weights_behind_both_interfaces(variants):
    expected = variants.diffusers()(IMAGES)
    assert torch.equal(variants.ours('vae', deploy=False)(IMAGES), expected)
    assert_near(variants.ours('vae')(IMAGES), expected, rel=1e-4)
    half = variants.diffusers('bf16')(IMAGES)
    assert half.dtype == torch.bfloat16
    assert variants.ours('vae', 'bf16')(IMAGES).dtype == torch.float32


@pytest.mark.parametrize('options', [
    dict(head='dpt'), dict(head='readout'),
    dict(head='readout', small_stem=True),
    dict(head='vae', small_stem=True, small_decoder=True)], ids=str)
@torch.no_grad()
def test_variants_share_the_unet(variants, options):
    model = variants.ours(deploy=False, **options)
    latent = torch.rand(1, 4, 8, 8)
    own = model.model.backbone.run_unet(latent)
    base = variants.base.backbone.run_unet(latent)
    for index in set(own) & set(base):
        assert torch.equal(own[index], base[index])
    parts = model.decode(model.run_unet(model.encode(IMAGES)))
    assert torch.equal(model(IMAGES), parts)
    assert parts.shape[:2] == (2, 1)


@torch.no_grad()
def test_marigold_is_the_pipeline_of_diffusers(variants):
    predict = variants.marigold()
    one, four = predict(IMAGES), predict(IMAGES, 4)
    assert one.shape == four.shape == (2, 1, 64, 72)
    assert 0 <= one.min() and one.max() <= 1 and not torch.equal(one, four)
    peer = variants.diffusers(tiny=True)
    assert peer(IMAGES).shape == (2, 1, 64, 72)
