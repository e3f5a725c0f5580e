"""What a prediction needs, counted without a GPU."""
import pytest
from benchmarking.variants import Variants
from count_memory import count, size


@pytest.mark.nightly
def test_low_memory_needs_less_and_large_images_need_more():
    variants = Variants('mini', 'meta')

    def peak(edge, **kwargs):
        return count(variants.ours('vae'), edge, **kwargs)

    model = variants.ours('vae')
    weights = size(model)
    real = sum(t.numel() * t.element_size() for t in (
        *model.parameters(), *model.buffers()))
    assert weights == real and model.model.backbone.prompt_embeds.is_meta
    small, large = peak(64), peak(512)
    assert weights < small < large
    # two maps of 32 channels at the full size, as the last resnet reads one
    # and writes one
    assert large > weights + 2 * 32 * 512**2 * 4
    assert peak(64, low_memory=True) < weights
    strips = dict(low_memory=True, strip=2**18)
    held = peak(512, **strips)
    # the first resnet of the encoder reads one, and writes one
    assert 2 * 16 * 512**2 * 4 < held < .7 * large
    assert peak(512, **strips, largest=2**20) < held / 2
    assert count(variants.ours('vae', 'bf16'), 512) < .6 * large
