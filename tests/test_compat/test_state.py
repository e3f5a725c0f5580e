import io

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OneCycleLR


def test_scheduler_state_is_plain_and_comes_back():
    """OneCycleLR stores its annealing function in stock mmengine."""
    def build():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
        return optimizer, OneCycleLR(optimizer, eta_max=1., total_steps=10)

    optimizer, scheduler = build()
    for _ in range(4):
        optimizer.step()
        scheduler.step()
    buffer = io.BytesIO()
    torch.save(scheduler.state_dict(), buffer)
    buffer.seek(0)
    other_optimizer, other = build()
    other.load_state_dict(torch.load(buffer, weights_only=True))
    other_optimizer.load_state_dict(optimizer.state_dict())
    for _ in range(4):
        for o, s in ((optimizer, scheduler), (other_optimizer, other)):
            o.step()
            s.step()
    assert optimizer.param_groups[0]['lr'] == pytest.approx(
        other_optimizer.param_groups[0]['lr'])


def test_our_history_is_plain_and_comes_back(tmp_path):
    hub = MessageHub.get_instance('plain')
    for value in (3.0, 1.0, 2.0):
        hub.update_scalar('train/loss', value, 2)
    buffer = io.BytesIO()
    torch.save(hub.state_dict(), buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    other = MessageHub.get_instance('plain again')
    other.load_state_dict(state)
    for ours, theirs in zip(other.get_scalar('train/loss').data,
                            hub.get_scalar('train/loss').data):
        assert ours.tolist() == theirs.tolist()
    other.update_scalar('train/loss', 5.0)
    assert other.get_scalar('train/loss').max() == 5
