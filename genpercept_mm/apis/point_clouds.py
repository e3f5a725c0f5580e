"""Point clouds of metric depth."""
import numpy as np


def back_project(metres, focal, center=None):
    """Turn planar depth into points of a pinhole camera.

    Args:
        metres (np.ndarray): (H, W).
        focal (float): Focal length in pixels.
        center (tuple[float], optional): Column and row of the principal
            point; None takes the middle of the image.

    Returns:
        np.ndarray: (H, W, 3) float32 in metres: x right, y down, z forward.
    """
    height, width = metres.shape
    u0, v0 = ((width - 1) / 2, (height - 1) / 2) if center is None else center
    v, u = np.mgrid[:height, :width]
    return np.stack([(u - u0) / focal * metres, (v - v0) / focal * metres,
                     metres], -1).astype(np.float32)


def encode_ply(points, colors):
    """Encode points (..., 3) and their RGB colours, uint8 of that shape, as a
    binary PLY file; points that are not finite are left out."""
    points, colors = points.reshape(-1, 3), colors.reshape(-1, 3)
    keep = np.isfinite(points).all(1)
    vertices = np.empty(int(keep.sum()), [
        ('point', '<f4', 3), ('color', 'u1', 3)])
    vertices['point'], vertices['color'] = points[keep], colors[keep]
    header = ['ply', 'format binary_little_endian 1.0',
              f'element vertex {len(vertices)}',
              *(f'property float {axis}' for axis in 'xyz'),
              *(f'property uchar {color}' for color in (
                  'red', 'green', 'blue')), 'end_header', '']
    return '\n'.join(header).encode() + vertices.tobytes()
