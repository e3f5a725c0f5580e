"""Parts of a model on a pretended GPU by turns."""
import pytest
import torch
from pretended_gpu import GPU, pretended_gpu
from torch import nn

from genpercept_mm.models.utils.parts_in_turn import PartsInTurn


class Pair(nn.Module):

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.BatchNorm1d(3)

    def one(self, x):
        return self.first(x)

    def two(self, x):
        return self.second(x)


@torch.no_grad()
def test_one_is_there_at_a_time_with_its_buffers():
    torch.manual_seed(0)
    model, x = Pair().eval(), torch.rand(2, 3)
    expected = model.two(model.one(x))
    with pretended_gpu() as gpu:
        turns = PartsInTurn([model.first, model.second], GPU)
        turns.begin_with(model, 'one', model.first)
        turns.begin_with(model, 'two', model.second)

        def there(part):
            return {gpu.places.of(tensor) == GPU for tensor in (
                *part.parameters(), *part.buffers())}

        for _ in range(2):
            hidden = model.one(x.to(GPU))
            assert (there(model.first), there(model.second)) == (
                {True}, {False})
            result = model.two(hidden)
            assert (there(model.first), there(model.second)) == (
                {False}, {True})
        assert torch.equal(result.cpu(), expected)


def test_a_lack_of_memory_leaves_no_half_of_a_part(monkeypatch):
    model = Pair().eval()
    turns = PartsInTurn([model.first, model.second], torch.device('cpu'))
    turns.start(model.first)
    kept, move, calls = list(model.second.state_dict().values()), (
        torch.Tensor.to), []

    def to(tensor, *args, **kwargs):
        calls.append(tensor)
        if len(calls) == 2:
            raise torch.OutOfMemoryError('CUDA out of memory')
        return move(tensor, *args, **kwargs).clone()

    monkeypatch.setattr(torch.Tensor, 'to', to)
    with pytest.raises(torch.OutOfMemoryError):
        turns.start(model.second)
    assert turns.running is None
    for tensor, before in zip(model.second.state_dict().values(), kept):
        assert tensor.data_ptr() == before.data_ptr()
    # and the next try is not taken for done
    turns.start(model.second)
    assert turns.running is model.second and len(calls) > 2
