"""Models on a GPU that is pretended, and what the pretence notices."""
import copy

import pytest
import torch
from mini_models import CHANGES, MINI, build
from pretended_gpu import WrongDevice, pretended_gpu

KINDS = [kind for kind in (*MINI, *CHANGES) if kind != 'pose']
SAMPLE = ('depth', 'marigold')


def test_what_cuda_refuses():
    with pretended_gpu():
        x, y = torch.rand(2, 3).cuda(), torch.rand(2, 3)
        assert x.device.type == 'cuda' and x.is_cuda and not y.is_cuda
        assert (x + 1).is_cuda and (x * torch.tensor(2.)).is_cuda
        assert torch.zeros_like(x).is_cuda and x.cpu().device.type == 'cpu'
        assert torch.zeros(3, device=x.device).is_cuda
        assert torch.nn.Linear(3, 2).to('cuda')(x).is_cuda
        for wrong in (lambda: x + y, lambda: y * x.sum(),
                      lambda: torch.cat([x, y]),
                      lambda: y[x[0].long()]):
            with pytest.raises(WrongDevice):
                wrong()
        with pytest.raises(TypeError, match="can't convert cuda:0"):
            x.numpy()
        with pytest.raises(RuntimeError, match="'cuda' device type for gen"):
            torch.rand(2, device='cuda', generator=torch.Generator())
    assert not torch.cuda.is_available()


def test_what_makes_the_cpu_wait():
    with pretended_gpu() as gpu:
        x = torch.rand(4).to('cuda')
        assert (sum(gpu.waits.values()), sum(gpu.uploads.values())) == (0, 1)
        for count, wait in enumerate((
                lambda: float(x.sum()), lambda: x[x > 2], lambda: x.nonzero(),
                lambda: x.tolist(), lambda: x.cpu(), lambda: bool(x[0] > 2)),
                1):
            wait()
            assert sum(gpu.waits.values()) == count
        torch.tensor([1., 2.], device=x.device)
        assert sum(gpu.uploads.values()) == 2


def data_of(model):
    from benchmarking.sd_parts import make_batch
    torch.manual_seed(0)
    return make_batch(model, 2, (64, 96))


def step(model, data):
    """Losses, gradients and an update."""
    model.train()
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], foreach=False)
    torch.manual_seed(1)
    loss, _ = model.parse_losses(model(
        **model.data_preprocessor(copy.deepcopy(data), True), mode='loss'))
    loss.backward()
    optimizer.step()
    return loss


def trainable(kind):
    model = build(kind)
    if kind == 'marigold':
        model.backbone.train_timestep = 'random'
    return model


@pytest.mark.parametrize('kind', [
    pytest.param(kind, marks=[] if kind in SAMPLE else [pytest.mark.nightly])
    for kind in KINDS])
def test_a_step_and_a_prediction(kind):
    """The same numbers as on the CPU; one prediction waits for nothing, and
    copies the picture alone."""
    model = trainable(kind)
    data = data_of(model)
    expected = float(step(copy.deepcopy(model), data).detach())
    with pretended_gpu() as gpu:
        moved = copy.deepcopy(model).to('cuda')
        loss = step(moved, data)
        assert loss.is_cuda
        assert {p.device.type for p in moved.parameters()} == {'cuda'}
        assert float(loss.detach()) == pytest.approx(expected, rel=1e-6)
        moved.eval()
        with torch.no_grad():
            prepared = moved.data_preprocessor(copy.deepcopy(data), False)
            gpu.waits.clear()
            gpu.uploads.clear()
            sample = moved.predict(**prepared)[0]
        own = {place: count for place, count in gpu.waits.items()
               if 'genpercept_mm' in place}
        uploads = {place for place in gpu.uploads if 'genpercept_mm' in place}
    assert own == {}
    # noise and palettes come from the CPU, so that seeds mean the same
    assert {place.split()[-1].split(':')[0] for place in uploads} <= {
        'genpercept_mm/diffusion/noise.py',
        'genpercept_mm/diffusion/schedule.py',
        'genpercept_mm/codecs/colormap_codec.py'}
    assert len(sample.keys()) > 0
