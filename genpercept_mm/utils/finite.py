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


def wrong_weights(state, model):
    """List the weights and running statistics of a state that are not finite.

    A mask of minus infinity, among a model's other buffers, is none of them.

    Args:
        state (dict): Tensors by name; names may begin with ``module.``.
        model (nn.Module): Whose state it is.

    Returns:
        list[str]: Names.
    """
    buffers = {name.removeprefix('module.')
               for name, _ in model.named_buffers()
               if not name.endswith(('running_mean', 'running_var'))}
    return [name for name in not_finite(state)
            if name.removeprefix('module.') not in buffers]
