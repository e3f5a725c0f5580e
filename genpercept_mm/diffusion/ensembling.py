"""Several predictions of one image, made into one."""
from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F

REDUCTIONS = {'affine': ('median', 'mean'), 'directions': ('closest', 'mean')}


def ensemble_affine(members,
                    uncertainty=False,
                    reduction='median',
                    regularizer=0.02,
                    max_iter=2,
                    tol=1e-3,
                    max_res=1024):
    """Align predictions in scale and shift, then reduce them (Marigold).

    In units of [0, 1], each member d_i gets a scale and a shift, at first
    those that stretch it to 0..1. BFGS then lowers the sum over pairs of the
    root mean square differences, plus ``regularizer`` times the distances of
    the reduced map's minimum from 0 and of its maximum from 1. What comes
    out is stretched to the whole range.

    The arithmetic is that of diffusers' ``MarigoldDepthPipeline``, in its
    order: the cost is fp32, and BFGS differentiates it by steps of 1.5e-8,
    which vanish beside scales of 1 and more and are rounding beside shifts.
    Scales stay where they were therefore, and the last bit of a member can
    change how members are shifted, there and here.

    Note:
        - E: members; H, W: height and width

    Args:
        members (Tensor): (E, 1, H, W) in [-1, 1]. One member is returned
            as it is.
        uncertainty (bool): Give the members' spread too: the median absolute
            deviation (zero for two members), or the standard deviation with
            ``reduction='mean'``, divided by the range of the result.
            Defaults to False.
        reduction (str): ``'median'`` (with even E the lower of the two
            middle values) or ``'mean'``. Defaults to 'median'.
        regularizer (float): Weight of the ends. Defaults to 0.02.
        max_iter (int): Of BFGS. Defaults to 2.
        tol (float): Of BFGS. Defaults to 1e-3.
        max_res (int, optional): Longer edge at which members are aligned;
            larger ones are reduced for that. Defaults to 1024; None aligns
            at full size.

    Returns:
        tuple[Tensor, Tensor | None]: (1, H, W) in [-1, 1], and the
        uncertainty, (1, H, W) where 1 is the whole range, or None.

    Raises:
        ValueError: If the shape or the reduction is another, or a single
            member shall have an uncertainty.
    """
    _check(members, uncertainty, 1, 'ensemble_affine')
    _check_reduction(reduction, 'affine')
    if len(members) == 1:
        return members[0], None
    maps = (members + 1) / 2
    maps = _align(maps, _solve(
        maps.float(), reduction, regularizer, max_iter, tol, max_res))
    merged = _reduce(maps, reduction)
    low, high = merged.min(), merged.max()
    span = (high - low).clamp(min=1e-6)
    spread = None
    if uncertainty:
        spread = (maps.std(dim=0) if reduction == 'mean' else
                  (maps - merged).abs().median(dim=0).values) / span
    return (merged - low) / span * 2 - 1, spread


def ensemble_directions(members, uncertainty=False, reduction='closest'):
    """Average directions, or take the one closest to their average.

    As diffusers' ``MarigoldNormalsPipeline``, pixel by pixel. Of two members
    both are equally close, but for rounding.

    Args:
        members (Tensor): (E, 3, H, W) vectors of any length; they are
            normalized first. One member is returned as it is.
        uncertainty (bool): Give the mean angle between members and their
            mean direction too, divided by pi. Defaults to False.
        reduction (str): ``'closest'`` or ``'mean'``. Defaults to 'closest'.

    Returns:
        tuple[Tensor, Tensor | None]: (3, H, W) of unit length, and the
        uncertainty, (1, H, W) in [0, 1], or None. Zero vectors stay zero.

    Raises:
        ValueError: If the shape or the reduction is another, or a single
            member shall have an uncertainty.
    """
    _check(members, uncertainty, 3, 'ensemble_directions')
    _check_reduction(reduction, 'directions')
    if len(members) == 1:
        return members[0], None
    members = _normalize(members)
    mean = _normalize(members.mean(dim=0, keepdim=True))
    # rounding leads cosines out of the domain of arccos
    cosines = (mean * members).sum(dim=1, keepdim=True).clamp(-1, 1)
    spread = cosines.arccos().mean(dim=0) / np.pi if uncertainty else None
    if reduction == 'mean':
        return mean[0], spread
    closest = cosines.argmax(dim=0, keepdim=True).expand_as(mean)
    return members.gather(0, closest)[0], spread


def ensemble_mean(members, uncertainty=False):
    """Average quantities that have a scale of their own, such as opacities.

    Args:
        members (Tensor): (E, C, H, W) in [-1, 1]. One member is returned
            as it is.
        uncertainty (bool): Give the standard deviation too (unbiased; with
            several channels, the root of their mean variance), where 1 is
            the whole range. Defaults to False.

    Returns:
        tuple[Tensor, Tensor | None]: (C, H, W) in [-1, 1], and the
        uncertainty, (1, H, W), or None.

    Raises:
        ValueError: If the shape is another, or a single member shall have
            an uncertainty.
    """
    _check(members, uncertainty, None, 'ensemble_mean')
    if len(members) == 1:
        return members[0], None
    spread = None
    if uncertainty:
        spread = members.var(dim=0).mean(dim=0, keepdim=True).sqrt() / 2
    return members.mean(dim=0), spread


# By the name that codecs have in ``ensembling``
ENSEMBLES = dict(
    affine=ensemble_affine, direction=ensemble_directions, mean=ensemble_mean)


def _check(members, uncertainty, channels, name):
    if members.dim() != 4 or channels not in (None, members.shape[1]):
        raise ValueError(
            f'{name}: members must be (E, {channels or "C"}, H, W), got '
            f'{tuple(members.shape)}.')
    if uncertainty and len(members) < 2:
        raise ValueError(f'{name}: an uncertainty needs at least two '
                         'members; set test_cfg.ensemble_size.')


def _check_reduction(reduction, kind):
    if reduction not in REDUCTIONS[kind]:
        raise ValueError(f'ensemble_{kind}: reduction must be one of '
                         f'{REDUCTIONS[kind]}, got {reduction!r}.')


def _normalize(vectors):
    return vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-6)


def _reduce(maps, reduction):
    if reduction == 'mean':
        return maps.mean(dim=0)
    return maps.median(dim=0).values


def _align(maps, parameters):
    """Apply (2 E, ) float64 scales and shifts in the precision of maps."""
    scales, shifts = (
        torch.from_numpy(part).to(maps).view(-1, 1, 1, 1)
        for part in np.split(parameters, 2))
    return maps * scales + shifts


def _solve(maps, reduction, regularizer, max_iter, tol, max_res):
    """Find scales and shifts."""
    from scipy.optimize import minimize
    size = maps.shape[2:]
    if max_res is not None and max(size) > max_res:
        small = [max(length * max_res // max(size), 1) for length in size]
        maps = F.interpolate(maps, small, mode='nearest-exact')

    def cost(parameters):
        aligned = _align(maps, parameters)
        terms = [(one - other).square().mean().sqrt()
                 for one, other in combinations(aligned, 2)]
        if regularizer > 0:
            merged = _reduce(aligned, reduction)
            terms += [merged.min().abs(), (1 - merged.max()).abs()]
        # all at once, as each transfer from a GPU waits for it
        terms = torch.stack(terms).tolist()
        if regularizer > 0:
            *terms, near, far = terms
            terms.append((near + far) * regularizer)
        return sum(terms)

    low, high = maps.amin(dim=(1, 2, 3)), maps.amax(dim=(1, 2, 3))
    scales = 1 / (high - low).clamp(min=1e-6)
    start = torch.cat([scales, -scales * low]).double().cpu().numpy()
    return minimize(
        cost, start, method='BFGS', tol=tol,
        options=dict(maxiter=max_iter)).x
