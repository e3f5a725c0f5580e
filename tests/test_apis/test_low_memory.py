"""Prediction in little memory against prediction as usual."""
import pytest
import torch
from conftest import assert_near
from mini_models import build
from pretended_gpu import CPU, GPU, pretended_gpu

from genpercept_mm.apis.low_memory import save_memory
from genpercept_mm.models.utils.folding import switch_to_deploy
from genpercept_mm.models.utils.vae_strips import Strips


def maps(samples):
    return torch.stack([
        sample.get(key).data for sample in samples for key in sample.keys()
        if key.startswith('pred_')])


@pytest.mark.parametrize('kind', [
    'depth', 'upernet', 'small-stem',
    *(pytest.param(kind, marks=pytest.mark.nightly) for kind in (
        'marigold', 'dpt', 'normal', 'classes-by-colour', 'matting',
        'readout'))])
@torch.no_grad()
def test_parts_and_large_maps_take_turns(kind):
    """On a pretended GPU, so that a tensor in the wrong place is an error."""
    model = build(kind)
    images = torch.rand(2, 3, 56, 72) * 2 - 1
    expected = maps(model.predict(images))
    switch_to_deploy(model)
    waiting = []

    class Watched(Strips):

        def empty(self, *args):
            made = super().empty(*args)
            if gpu.places.of(made) == CPU:
                waiting.append(made.shape)
            return made

    with pretended_gpu() as gpu:
        # everything but what the strips hold waits
        save_memory(model, GPU, Watched(20000, largest=0))
        parts = dict(vae=model.backbone.vae, unet=model.backbone.unet,
                     head=model.decode_head)

        def there():
            return {name for name, part in parts.items()
                    if any(gpu.places.of(p) == GPU for p in part.parameters())}

        seen = []
        for name, module in (
                ('vae', model.backbone.vae.encoder),
                ('unet', model.backbone.unet.conv_in),
                ('head', next(module for module in parts['head'].modules()
                              if isinstance(module, torch.nn.Conv2d)))):
            module.register_forward_hook(
                lambda *args, name=name: seen.append((name, there())))
        assert there() == set()
        for _ in range(2):
            result = maps(model.predict(images.to(GPU))).cpu()
    assert {name for name, _ in seen} == {'unet', 'head'} | (
        set() if kind == 'small-stem' else {'vae'})
    if kind != 'small-stem':
        assert waiting
    assert all(found == {name} for name, found in seen)
    if result.is_floating_point():
        # unit length magnifies the rounding of short vectors
        assert_near(result, expected, rel=1e-3 if kind == 'normal' else 1e-4)
    else:
        assert (result != expected).float().mean() < 1e-3


def test_other_backbones_are_refused():
    network = torch.nn.Module()
    network.backbone = torch.nn.Identity()
    with pytest.raises(ValueError, match='low_memory: .* got Identity'):
        save_memory(network, torch.device('cpu'))
