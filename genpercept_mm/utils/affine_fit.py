"""One scale and one shift, fitted by least squares."""


def fit_scale_and_shift(values, target):
    """Solve ``scale * values + shift = target``, both (n, ), by least squares.

    The result (scale, shift) is 0 and the mean of ``target`` if the values are
    constant, and 0 and 0 if there are none.
    """
    if not len(values):
        return 0., 0.
    values_mean, target_mean = values.mean(), target.mean()
    centred = values - values_mean
    variance = (centred**2).mean()
    # a constant may differ from its own mean by rounding
    if variance <= (1e-12 * values_mean)**2:
        return 0., target_mean
    scale = (centred * (target - target_mean)).mean() / variance
    return scale, target_mean - scale * values_mean
