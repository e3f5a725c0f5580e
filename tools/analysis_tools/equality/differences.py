"""Differences between two runs of one training."""
from math import isfinite

import torch


def relative_difference(one, other):
    """Return the largest absolute difference of two tensors, divided by the
    largest absolute value in either; 0 if both are 0. A ValueError is raised
    if it is not finite."""
    size = max(float(one.abs().max()), float(other.abs().max()))
    difference = float((one - other).abs().max()) / size if size else 0.
    if not isfinite(difference):
        raise ValueError('a run has values that are not finite.')
    return difference


def compare(run, reference, leave_out=()):
    """Compare what `run_part.py` wrote.

    Args:
        run (dict): ``start``, the number of the first step, the ``losses`` of
            all from there on, ``gradients`` of some by step, and the final
            ``weights``.
        reference (dict): The same of another run, from step 0 on.
        leave_out (Sequence[str]): Ends of names of weights and gradients that
            are not compared.

    Returns:
        dict[str, float]: Largest relative difference of ``losses``,
        ``gradients`` (of the steps that both have) and ``weights``, of each
        tensor by itself, however small; and of ``all_gradients`` of a step
        as one vector, by its length.

    Raises:
        ValueError: If the runs have different steps or tensors.
    """
    losses = reference['losses'][run['start']:]
    if len(run['losses']) != len(losses):
        raise ValueError('the runs have different numbers of steps.')

    common = run['gradients'].keys() & reference['gradients'].keys()
    if not common:
        raise ValueError('the runs kept the gradients of other steps.')

    def largest(ours, theirs):
        if ours.keys() != theirs.keys():
            raise ValueError(f'the runs have different tensors: '
                             f'{sorted(ours.keys() ^ theirs.keys())[:3]}.')
        return max((relative_difference(ours[key].double(),
                                        theirs[key].double())
                    for key in ours if not key.endswith(tuple(leave_out))
                    and ours[key].is_floating_point()), default=0.)

    def by_length(ours, theirs):
        keys = [key for key in ours if not key.endswith(tuple(leave_out))]
        ours, theirs = (
            torch.cat([part[key].double().flatten() for key in keys])
            for part in (ours, theirs))
        length = float(theirs.norm())
        return float((ours - theirs).norm()) / length if length else 0.

    return dict(
        losses=max(relative_difference(*torch.tensor(pair, dtype=torch.double))
                   for pair in zip(run['losses'], losses)),
        gradients=max((largest(run['gradients'][step],
                               reference['gradients'][step])
                       for step in common), default=0.),
        all_gradients=max(
            by_length(run['gradients'][step], reference['gradients'][step])
            for step in common),
        weights=largest(run['weights'], reference['weights']))
