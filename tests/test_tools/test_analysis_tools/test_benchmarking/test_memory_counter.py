"""Counted memory against sums by hand."""
import pytest
import torch
from benchmarking.memory_counter import CountedStrips, MemoryCounter
from torch import nn


def meta(*shape):
    return torch.empty(*shape, device='meta')


def test_what_lives_at_once():
    x = meta(1000)
    with MemoryCounter() as counter:
        y = x + 1           # 4000
        z = torch.cat([y, y])   # 8000 more
        del y
        w = z[:10] * 2      # 40 more, 4000 fewer
        z.mul_(3)
    assert counter.peak == 12000
    with counter:
        for _ in range(5):
            w = torch.exp(w)
    assert counter.peak == 12000


@torch.no_grad()
def test_attention_keeps_no_scores():
    q = meta(1, 2, 4096, 64)
    with MemoryCounter() as counter:
        nn.functional.scaled_dot_product_attention(q, q, q)
    assert counter.peak == q.nbytes


@pytest.mark.parametrize('largest, waiting', [(None, 0), (4 * 1023, 1)])
@torch.no_grad()
def test_maps_that_wait_are_left_out(largest, waiting):
    """A map of 16 x 64 and one more of 8 x 64, in strips of a row."""
    counter = MemoryCounter()
    strips = CountedStrips(counter, strip=1, largest=largest)
    x, conv = meta(1, 1, 16, 64), nn.Conv2d(1, 1, 3, padding=1, device='meta')
    strips.device = x.device
    with counter:
        y = strips.layer(x, conv)
        small = strips.layer(y, nn.AvgPool2d(2), stride=2)
    whole, half, row = 16 * 64 * 4, 8 * 32 * 4, 64 * 4
    assert small.shape == (1, 1, 8, 32) and y.shape == x.shape
    # and rows with their halo, two strips of them
    least = half if waiting else whole + half
    assert least < counter.peak <= least + 6 * row
