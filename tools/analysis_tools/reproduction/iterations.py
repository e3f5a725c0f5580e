"""Train a config for less or longer."""
import math


def set_iterations(cfg, max_iters):
    """Change the length of a training and of its learning rate schedule.

    The schedule is stretched as a whole: warm-up and decay keep their shares
    of the training, and the decay ends at the same rate. A phase that rounds
    to zero iterations is left out.

    Args:
        cfg (Config): Config of a training that counts iterations; changed in
            place.
        max_iters (int): New length, at least 1.

    Raises:
        ValueError: If the schedule has parts other than LinearLR and
            ExponentialLR by iterations.
    """
    before = cfg.train_cfg.max_iters
    cfg.train_cfg.max_iters = max_iters
    if cfg.get('param_scheduler'):
        phases = [_stretch(phase, before, max_iters)
                  for phase in cfg.param_scheduler]
        cfg.param_scheduler = [phase for phase in phases if phase]


def _stretch(phase, before, after):
    """Fit a phase into a new length; returns None if it vanishes."""
    kind = phase['type'].split('.')[-1]
    if kind not in ('LinearLR', 'ExponentialLR') or phase.get(
            'by_epoch', True):
        raise ValueError(
            f'set_iterations: param_scheduler has {kind}, by_epoch='
            f'{phase.get("by_epoch", True)}; only LinearLR and ExponentialLR '
            'with by_epoch=False can be stretched. Write a config with the '
            'other length instead.')
    begin, end = phase.get('begin', 0), phase.get('end', before)
    stretched = dict(phase, begin=round(begin * after / before),
                     end=round(end * after / before))
    length, old = stretched['end'] - stretched['begin'], end - begin
    if not length:
        return None
    if kind == 'ExponentialLR':
        stretched['gamma'] = phase['gamma']**(old / length)
    elif math.isclose(phase.get('start_factor', 1 / 3), 1 / old):
        # a warm-up from zero: equal steps up to the full rate
        stretched['start_factor'] = 1 / length
    return stretched
