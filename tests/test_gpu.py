"""What a real GPU computes; skipped where there is none."""
import copy

import pytest
import torch
from benchmarking.sd_parts import make_batch
from conftest import assert_near
from mini_models import CHANGES, MINI, build

KINDS = [kind for kind in (*MINI, *CHANGES) if kind != 'pose']
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(
    not torch.cuda.is_available(), reason='there is no GPU')]


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'float16'])
@pytest.mark.parametrize('kind', KINDS)
def test_a_step_and_a_prediction(kind, dtype):
    """Losses and maps beside those of the CPU, in fp32."""
    torch.backends.cudnn.allow_tf32 = False
    dtype = getattr(torch, dtype)
    model = build(kind)
    if kind == 'marigold':
        model.backbone.train_timestep = 'random'
    torch.manual_seed(0)
    data = make_batch(model, 2, (64, 96))
    results = []
    for device, precision in (('cpu', torch.float32), ('cuda', dtype)):
        network = copy.deepcopy(model).to(device).train()
        torch.manual_seed(1)
        with torch.autocast(device, dtype=precision,
                            enabled=precision != torch.float32):
            loss, _ = network.parse_losses(network(
                **network.data_preprocessor(copy.deepcopy(data), True),
                mode='loss'))
        loss.backward()
        network.to(precision).eval()
        with torch.no_grad():
            sample = network.predict(
                **network.data_preprocessor(copy.deepcopy(data), False))[0]
        field, = (name for name in sample.keys() if name.startswith('pred_'))
        results.append((loss.detach().cpu(), sample.get(field).data.cpu()))
    (loss, expected), (given_loss, given) = results
    assert given_loss == pytest.approx(float(loss), rel=max(
        1e-4, 4 * torch.finfo(dtype).eps))
    if dtype == torch.float32:
        if expected.is_floating_point():
            # cuDNN's convolutions round otherwise
            assert_near(given, expected, rel=1e-3)
        else:
            assert (given != expected).float().mean() < .01
    assert given.isfinite().all()


@torch.no_grad()
def test_low_memory_needs_less_and_predicts_the_same():
    """And the peak is near what is counted without a GPU."""
    from benchmarking.memory_counter import MemoryCounter

    from genpercept_mm.apis.low_memory import save_memory
    from genpercept_mm.models.utils.vae_strips import Strips
    torch.backends.cudnn.allow_tf32 = False
    images = torch.rand(1, 3, 1024, 1024) * 2 - 1
    device, peaks, results = torch.device('cuda', 0), [], []
    for strips in (None, Strips(2**18, largest=2**20)):
        model = build('depth')
        if strips is None:
            model.to(device)
        else:
            save_memory(model, device, strips)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        sample, = model.predict(images.to(device))
        peaks.append(torch.cuda.max_memory_allocated() - before)
        results.append(sample.pred_depth_map.data.cpu())
    assert_near(results[1], results[0], rel=1e-3)
    assert peaks[1] < peaks[0] / 2
    model = build('depth').to('meta')
    # the buffer of the timesteps is read, which has no values there
    model.backbone._embed_time = lambda latents, _: latents.new_empty(
        len(latents), model.backbone.unet.time_embedding.linear_2.out_features)
    with MemoryCounter() as counter:
        model.predict(images.to('meta'))
    # convolutions have workspace
    assert counter.peak * .9 < peaks[0] < counter.peak * 2.5
