"""Merging of several predictions of one image.

Note:
    - E: members; C: channels; H, W: height and width

    The functions take members, (E, C, H, W), and return the merged map,
    (C, H, W), and its uncertainty, (1, H, W), or None unless that is
    requested. A single member is returned as it is. They raise a ValueError
    if the shape or an option does not fit, or if the uncertainty of a single
    member is requested.
"""


def ensemble_affine(members, uncertainty=False, **options):
    """Align predictions in scale and shift, then merge them (Marigold).

    This is diffusers' ``MarigoldDepthPipeline.ensemble_depth``: in units of
    [0, 1], each member gets a scale and a shift, initially those that
    stretch it to 0..1. BFGS then minimizes the sum over pairs of the root
    mean square differences, plus a weight times the distances of the merged
    map's minimum from 0 and of its maximum from 1. The result is stretched to
    the whole range.

    The cost is computed in fp32, and BFGS differentiates it by steps of
    1.5e-8, which are lost beside scales of 1 and more, and are mere rounding
    beside shifts. So the scales stay at their initial values, and the last
    bit of a member can change how members are shifted.

    Args:
        members (Tensor): (E, 1, H, W) in [-1, 1].
        uncertainty (bool): Return the members' spread too: the median
            absolute deviation (zero for two members), or the standard
            deviation with ``reduction='mean'``, divided by the range of the
            result. Defaults to False.
        **options: ``reduction`` (``'median'``, which takes the lower middle
            one of an even number of values, or ``'mean'``),
            ``regularizer_strength``, ``max_iter``, ``tol`` and ``max_res`` of
            diffusers.

    Returns:
        tuple[Tensor, Tensor | None]: (1, H, W) in [-1, 1], and the
        uncertainty, where 1 is the whole range.
    """
    _check(members, uncertainty, 1, 'ensemble_affine')
    if len(members) == 1:
        return members[0], None
    # diffusers' pipelines take a moment to import
    from diffusers import MarigoldDepthPipeline
    merged, spread = MarigoldDepthPipeline.ensemble_depth(
        (members + 1) / 2, output_uncertainty=uncertainty, **options)
    return merged[0] * 2 - 1, spread[0] if uncertainty else None


def ensemble_directions(members, uncertainty=False, reduction='closest'):
    """Average directions, or take the one closest to their average.

    This is diffusers' ``MarigoldNormalsPipeline.ensemble_normals``, pixel by
    pixel. Two members are equally close, except for rounding.

    Args:
        members (Tensor): (E, 3, H, W) vectors of any length; they are
            normalized first.
        uncertainty (bool): Return the mean angle between members and their
            mean direction too, divided by pi. Defaults to False.
        reduction (str): ``'closest'`` or ``'mean'``. Defaults to 'closest'.

    Returns:
        tuple[Tensor, Tensor | None]: (3, H, W) of unit length, where zero
        vectors stay zero, and the uncertainty, in [0, 1].
    """
    _check(members, uncertainty, 3, 'ensemble_directions')
    if len(members) == 1:
        return members[0], None
    from diffusers import MarigoldNormalsPipeline
    # normalizes in place
    members = MarigoldNormalsPipeline.normalize_normals(members.clone())
    merged, spread = MarigoldNormalsPipeline.ensemble_normals(
        members, uncertainty, reduction)
    return merged[0], spread[0] if uncertainty else None


def ensemble_mean(members, uncertainty=False):
    """Average quantities with a scale of their own, such as opacities.

    Args:
        members (Tensor): (E, C, H, W) in [-1, 1].
        uncertainty (bool): Return the standard deviation too (unbiased; with
            several channels, the root of their mean variance), where 1 is
            the whole range. Defaults to False.

    Returns:
        tuple[Tensor, Tensor | None]: (C, H, W) in [-1, 1], and the
        uncertainty.
    """
    _check(members, uncertainty, None, 'ensemble_mean')
    if len(members) == 1:
        return members[0], None
    spread = None
    if uncertainty:
        spread = members.var(dim=0).mean(dim=0, keepdim=True).sqrt() / 2
    return members.mean(dim=0), spread


# By the codecs' attribute ``ensembling``
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
