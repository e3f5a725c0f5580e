import pytest
import torch
from equality.differences import compare, relative_difference


def run(scale=1., bias=0.):
    return dict(
        start=0, losses=[1., 2. * scale], gradients={0: {
            'a': torch.tensor([1., -4.]), 'to_k.bias': torch.tensor([bias])}},
        weights={'a': torch.tensor([8., 2. * scale]),
                 'count': torch.tensor(int(scale * 10))})


def test_differences_are_relative_to_the_size_of_a_tensor():
    assert relative_difference(torch.tensor([1., 4.]),
                               torch.tensor([1.5, 4.])) == .5 / 4
    assert relative_difference(torch.zeros(2), torch.zeros(2)) == 0


def test_the_largest_difference_of_each_kind():
    assert compare(run(1.1), run()) == pytest.approx(dict(
        losses=.2 / 2.2, gradients=0, all_gradients=0, weights=.2 / 8))
    # less than single precision knows
    assert compare(run(1 + 1e-12), run())['losses'] == pytest.approx(
        1e-12, rel=1e-3)
    # a parameter whose true gradient is zero
    assert compare(run(bias=1e-12), run())['gradients'] == 1
    assert compare(run(bias=1e-12), run(), ['.bias'])['gradients'] == 0
    # and that is small beside the others, whose length is 17 ** .5
    assert compare(run(bias=1e-12), run())['all_gradients'] == pytest.approx(
        1e-12 / 17**.5)


def test_a_resumed_run_is_compared_from_its_start_on():
    whole = run()
    whole['gradients'][1] = {'a': torch.tensor([9., 9.])}
    resumed = dict(run(), start=1, losses=[2.], gradients={
        1: {'a': torch.tensor([9., 9.])}})
    assert set(compare(resumed, whole).values()) == {0}
    resumed['losses'] = [1.]
    resumed['gradients'][1]['a'][0] = 4.5
    found = compare(resumed, whole)
    assert found['losses'] == found['gradients'] == .5
    with pytest.raises(ValueError, match='gradients of other steps'):
        compare(resumed, run())


def test_other_tensors_and_steps_are_no_comparison():
    other = run()
    other['weights'].pop('a')
    with pytest.raises(ValueError, match="different tensors: .'a'"):
        compare(other, run())
    other['losses'].pop()
    with pytest.raises(ValueError, match='different numbers of steps'):
        compare(other, run())
