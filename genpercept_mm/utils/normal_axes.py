"""Camera frames of surface normals, and how to change between them.

The package's own frame, ``'genpercept'``, is Hypersim's camera frame: x
right, y up, z towards the viewer; visible surfaces face the camera. The
others differ from it in signs alone, so every conversion multiplies the three
components and is its own inverse.
"""
import numpy as np

# What each component is multiplied by to get to, or from, our frame
AXES = {
    # x right, y up, z towards the viewer
    'genpercept': (1, 1, 1),
    # x right, y down, z forward
    'opencv': (1, -1, -1),
    # x right, y down, z forward, normals pointing away from the camera
    'dsine': (-1, 1, 1),
}


def axis_signs(axes):
    """Return the three signs, -1 or 1, that turn normals of a frame into ours.

    ``axes`` is a key of ``AXES`` or the signs of x, y and z themselves, for
    example ``(1, 1, -1)``; anything else raises a ValueError.
    """
    if isinstance(axes, str) and axes in AXES:
        return AXES[axes]
    if not isinstance(axes, str) and len(axes) == 3 and all(
            abs(sign) == 1 for sign in axes):
        return tuple(int(sign) for sign in axes)
    raise ValueError(
        f'normal axes must be one of {sorted(AXES)}, or three signs (-1 or '
        f'1) that turn the normals to x right, y up, z towards the viewer; '
        f'got {axes!r}.')


def axes_name(signs):
    """Name a frame as in a config, for example ``'genpercept'`` with quotes; a
    frame without a name is spelt out by its three signs."""
    for name, known in AXES.items():
        if known == tuple(signs):
            return repr(name)
    return repr(tuple(signs))


def convert_axes(normals, source, target, axis=-1):
    """Express normals in another camera frame.

    Args:
        normals (np.ndarray | Tensor): Any shape, 3 components along ``axis``.
        source (str | Sequence[int]): Frame of the normals, see `axis_signs`.
        target (str | Sequence[int]): The other frame.
        axis (int): Axis of the components. Defaults to -1.

    Returns:
        np.ndarray | Tensor: A new array of the same kind, shape and dtype.

    Raises:
        ValueError: If a frame is unknown or ``axis`` does not have 3 entries.
    """
    if normals.shape[axis] != 3:
        raise ValueError(
            f'convert_axes: normals must have 3 components along axis {axis}'
            f', got shape {tuple(normals.shape)}; set axis.')
    signs = [a * b for a, b in zip(axis_signs(source), axis_signs(target))]
    shape = [1] * normals.ndim
    shape[axis] = 3
    if isinstance(normals, np.ndarray):
        factors = np.asarray(signs, normals.dtype)
    else:
        factors = normals.new_tensor(signs)
    return normals * factors.reshape(shape)
