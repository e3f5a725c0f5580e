"""Finding values that are NaN or infinite."""
import numpy as np
import torch


def is_finite(values):
    """Tell whether all of an array or tensor of any type are finite; tensors
    without values, on the meta device, are."""
    if isinstance(values, torch.Tensor):
        if values.is_meta:
            return True
        return not (values.is_floating_point() or values.is_complex()) or bool(
            torch.isfinite(values).all())
    return values.dtype.kind not in 'fc' or bool(np.isfinite(values).all())


def not_finite(named):
    """List the names of the arrays and tensors of a dict that are not finite;
    other values do not count."""
    return [name for name, values in named.items()
            if isinstance(values, (np.ndarray, torch.Tensor))
            and not is_finite(values)]
