import pytest
import torch
from benchmarking.plain_diffusers import PlainDiffusers
from benchmarking.sd_parts import build_model
from conftest import MINI_CONFIG
from mmengine.config import Config


@pytest.mark.parametrize('config', [
    MINI_CONFIG, 'configs/mini/genpercept_vae_mini-hypersim-seg.py'])
def test_the_peer_computes_the_same_features(config):
    torch.manual_seed(0)
    model = build_model(Config.fromfile(config), 'cpu').eval()
    peer = PlainDiffusers(model.backbone).eval()
    x = torch.rand(1, 3, 64, 96) * 2 - 1
    with torch.no_grad():
        for ours, theirs in zip(model.backbone(x), peer(x), strict=True):
            torch.testing.assert_close(
                ours, theirs, atol=1e-5 * float(theirs.abs().max()), rtol=0)
