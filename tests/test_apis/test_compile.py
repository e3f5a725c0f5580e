"""torch.compile sees each prediction as one graph."""
import pytest
import torch
import torch._dynamo
from conftest import assert_near
from mini_models import CHANGES, MINI, build

from genpercept_mm.apis.model_export import ImageToMap


def inputs(network, batch, size):
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (batch, *size, 3), dtype=torch.uint8,
                          generator=generator)
    if not network.takes_noise:
        return (image, )
    return image, torch.randn(batch, 4, *(length // 8 for length in size),
                              generator=generator)


@pytest.mark.nightly
@pytest.mark.parametrize('kind', [*MINI, *CHANGES])
@torch.no_grad()
def test_one_graph_for_many_sizes(kind):
    """Code is not generated here: what matters is what is traced."""
    torch._dynamo.reset()
    graphs = []

    def backend(graph, examples):
        graphs.append(graph)
        return graph

    network = ImageToMap(build(kind))
    compiled = torch.compile(
        network, backend=backend, fullgraph=True, dynamic=True)
    for batch, size in ((2, (192, 128)), (3, (256, 320)), (2, (128, 192))):
        given = inputs(network, batch, size)
        expected = network(*given)
        result = compiled(*given)
        if expected.is_floating_point():
            assert_near(result, expected)
        else:
            assert torch.equal(result, expected)
    assert len(graphs) == 1
    torch._dynamo.reset()


@pytest.mark.nightly
@torch.no_grad()
def test_one_graph_without_breaks():
    """At a fixed size, which is traced faster."""
    torch._dynamo.reset()
    network = ImageToMap(build('depth'))
    given = inputs(network, 1, (64, 64))
    compiled = torch.compile(network, backend='eager', fullgraph=True)
    assert_near(compiled(*given), network(*given))
    torch._dynamo.reset()
