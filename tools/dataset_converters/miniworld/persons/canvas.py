"""Draw ellipsoids, cones and quadrilaterals in perspective.

Note:
    Letters: H, W pixels of the picture; S = 2 samples per pixel and axis.
    Pixel i covers [i, i + 1) of a continuous coordinate. The world has z up.
    The frame of a camera has x to the right, y down and z forward, in metres.
    A ray is ``depth * (x, y, 1)``, so its parameter is the depth.
"""
from collections import namedtuple

import cv2
import numpy as np

SAMPLES = 2
# surfaces nearer than this are not drawn, in metres
_NEAR = 0.25

_Light = namedtuple('_Light', 'direction ambient')

#: Second colour of a surface: where ``floor((point @ direction - phase) /
#: period)`` is odd, with the point in the frame of the camera.
Stripes = namedtuple('Stripes', 'color direction period phase')


class Camera(namedtuple('Camera', 'position rotation focal width height')):
    """A pinhole camera.

    ``position`` (3,) is in metres, the rows of ``rotation`` (3, 3) are the
    directions right, down and forward in the world, ``focal`` is in pixels.
    """

    @classmethod
    def look_at(cls, position, target, roll, focal, width, height):
        """Aim a camera.

        Args:
            position (Sequence[float]): Position of the camera, in metres.
            target (Sequence[float]): Point in the centre of the picture.
            roll (float): Rotation about the line of sight, clockwise, in
                degrees.
            focal (float): Focal length in pixels.
            width (int): Width of the picture in pixels.
            height (int): Height of the picture in pixels.

        Returns:
            Camera: The z axis of the world points up in its picture.
        """
        position = np.asarray(position, float)
        forward = np.asarray(target, float) - position
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, (0, 0, 1))
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        c, s = np.cos(np.deg2rad(roll)), np.sin(np.deg2rad(roll))
        return cls(position, np.stack([c * right + s * down,
                                       c * down - s * right, forward]),
                   focal, width, height)

    def local(self, points):
        """Express world points in the frame of the camera.

        Args:
            points (np.ndarray): (..., 3), in metres.

        Returns:
            np.ndarray: (..., 3), in metres: right, down, forward.
        """
        return (np.asarray(points) - self.position) @ self.rotation.T

    def project(self, points):
        """Project world points into the picture.

        Args:
            points (np.ndarray): (..., 3) in the world, in metres, in front
                of the camera.

        Returns:
            tuple[np.ndarray, np.ndarray]: (..., 2) continuous x and y in
            pixels, and (...) depth in metres.
        """
        local = self.local(points)
        depth = local[..., 2]
        middle = np.array([self.width, self.height]) / 2
        return self.focal * local[..., :2] / depth[..., None] + middle, depth


class Canvas:
    """A picture with depth, to which surfaces are added in any order.

    Args:
        camera (Camera): The camera that views the world.
        background (np.ndarray): (H, W, 3) uint8, RGB.
        light (Sequence[float]): Direction towards the light, in the world.
        ambient (float): Brightness of surfaces that face away from the
            light, in [0, 1]. Defaults to 0.45.

    Attributes:
        depth (np.ndarray): (S H, S W) float32, in metres; inf where only
            the background is visible.
        label (np.ndarray): (S H, S W) int16, the label of the nearest
            surface.
    """

    def __init__(self, camera, background, light, ambient=0.45):
        self.camera = camera
        shape = SAMPLES * camera.height, SAMPLES * camera.width
        self.depth = np.full(shape, np.inf, np.float32)
        self.label = np.zeros(shape, np.int16)
        self._color = cv2.resize(background, shape[::-1])
        direction = camera.rotation @ np.asarray(light, float)
        self._light = _Light(direction / np.linalg.norm(direction), ambient)
        self._x, self._y = (
            ((np.arange(count) + 0.5) / SAMPLES - length / 2).astype(
                np.float32) / np.float32(camera.focal)
            for count, length in zip(shape[::-1],
                                     (camera.width, camera.height)))

    def ellipsoid(self, center, axes, radii, color, label=0, stripes=None):
        """Draw an ellipsoid.

        Args:
            center (np.ndarray): (3,) in the world.
            axes (np.ndarray): (3, 3), its columns are the directions of the
                axes in the world, of unit length.
            radii (Sequence[float]): (3,) semi-axes, in metres.
            color (Sequence[float]): RGB in [0, 255].
            label (int): Label of the surface. Defaults to 0.
            stripes (Stripes, optional): A second colour. Defaults to None.
        """
        center = self.camera.local(center)
        radii = np.asarray(radii, float)
        axes = self.camera.rotation @ axes
        box = self._box([(center, (axes * radii) @ (axes * radii).T)])
        if box is None:
            return
        x, y = self._x[None, box[1]], self._y[box[0], None]
        # in the frame in which the ellipsoid is the unit sphere
        inverse = (axes / radii).T.astype(np.float32)
        start = -inverse @ center.astype(np.float32)
        way = [row[0] * x + (row[1] * y + row[2]) for row in inverse]
        square = way[0]**2 + way[1]**2 + way[2]**2
        slope = way[0] * start[0] + way[1] * start[1] + way[2] * start[2]
        root = slope**2 - square * (start @ start - 1)
        hit = root > 0
        depth = (-slope - np.sqrt(np.where(hit, root, 0))) / square
        hit &= depth < self.depth[box]
        if not hit.any():
            return
        depth = depth[hit]
        point = np.stack([w[hit] for w in way]) * depth + start[:, None]
        # the normal of |inverse p| = 1 is inverse.T @ (inverse p)
        facing = (self._light.direction @ inverse.T.astype(float)) @ point
        length = np.sqrt(((point / radii[:, None])**2).sum(axis=0))
        self._put(box, hit, depth, facing / length, color, label, stripes)

    def ball(self, center, radius, color, label=0, stripes=None):
        """Draw a ball.

        Args:
            center (np.ndarray): (3,) in the world.
            radius (float): Radius in metres.
            color (Sequence[float]): RGB in [0, 255].
            label (int): Label of the surface. Defaults to 0.
            stripes (Stripes, optional): A second colour. Defaults to None.
        """
        self.ellipsoid(center, np.eye(3), (radius,) * 3, color, label,
                       stripes)

    def cone(self, start, end, radius, end_radius, color, label=0,
             stripes=None):
        """Draw the surface that joins two balls, without the balls.

        This is the part of their common tangent cone between the circles
        where it touches them, so it meets both balls without an edge.

        Args:
            start (np.ndarray): (3,) centre of the first ball, in the world.
            end (np.ndarray): (3,) centre of the second ball.
            radius (float): Radius of the first ball, in metres.
            end_radius (float): Radius of the second ball.
            color (Sequence[float]): RGB in [0, 255].
            label (int): Label of the surface. Defaults to 0.
            stripes (Stripes, optional): A second colour. Defaults to None.
        """
        start, end = self.camera.local(start), self.camera.local(end)
        length = np.linalg.norm(end - start)
        box = self._box([(start, radius**2 * np.eye(3)),
                         (end, end_radius**2 * np.eye(3))])
        # there is no tangent cone if one ball is inside the other
        if box is None or length <= abs(radius - end_radius) + 1e-6:
            return
        axis = (end - start) / length
        sine = (radius - end_radius) / length
        cosine2 = 1 - sine**2
        x, y = self._x[None, box[1]], self._y[box[0], None]

        def along(vector):
            vector = vector.astype(np.float32)
            return vector[0] * x + (vector[1] * y + vector[2])

        # with w = point - start and h = w @ axis, the cone is where
        # cosine^2 (w @ w - h^2) = (radius - sine h)^2
        way = along(axis)
        offset = float(start @ axis)
        square = np.float32(cosine2) * (x**2 + (y**2 + 1)) - way**2
        slope = along(cosine2 * start - (offset + radius * sine) * axis)
        rest = np.float32(cosine2 * (start @ start) - offset**2
                          - 2 * radius * sine * offset - radius**2)
        root = slope**2 - square * rest
        hit = (root > 0) & (square > 1e-7)
        depth = (slope - np.sqrt(np.where(hit, root, 0))) / np.where(
            hit, square, 1)
        height = depth * way - np.float32(offset)
        # position on the axis of the ball that is touched there
        touched = (height - np.float32(radius * sine)) / np.float32(cosine2)
        hit &= (touched > 0) & (touched < length) & (depth > _NEAR) & (
            depth < self.depth[box])
        if not hit.any():
            return
        depth, height = depth[hit], height[hit]
        toward = self._light.direction
        lit = along(toward)[hit] * depth - start @ toward
        facing = cosine2 * (lit - height * (axis @ toward)) / (
            radius - sine * height) + sine * (axis @ toward)
        self._put(box, hit, depth, facing, color, label, stripes)

    def quad(self, corners, color, label=0, stripes=None):
        """Draw a flat convex polygon, or nothing if it is too near.

        Args:
            corners (np.ndarray): (N, 3) in the world, in order.
            color (Sequence[float]): RGB in [0, 255].
            label (int): Label of the surface. Defaults to 0.
            stripes (Stripes, optional): A second colour. Defaults to None.
        """
        corners = self.camera.local(corners)
        if corners[:, 2].min() < _NEAR:
            return
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
        normal /= np.linalg.norm(normal)
        distance = normal @ corners[0]
        # edge-on, so invisible
        if abs(distance) < 1e-4:
            return
        box = self._box([(c, np.zeros((3, 3))) for c in corners])
        if box is None:
            return
        place = SAMPLES * (self.camera.focal * corners[:, :2] / corners[:, 2:]
                           + np.array([self.camera.width,
                                       self.camera.height]) / 2) - 0.5
        place -= (box[1].start, box[0].start)
        hit = np.zeros(self.depth[box].shape, np.uint8)
        cv2.fillConvexPoly(hit, np.round(place * 16).astype(np.int32), 1,
                           shift=4)
        x, y = self._x[None, box[1]], self._y[box[0], None]
        cosine = normal[0] * x + (normal[1] * y + normal[2])
        # the outline is rounded to samples, so rays may miss the plane
        hit = (hit > 0) & (cosine * np.sign(distance) > 1e-6)
        depth = distance / np.where(hit, cosine, 1)
        hit &= depth < self.depth[box]
        # both sides are painted; the one facing the camera is lit
        facing = -np.sign(distance) * (normal @ self._light.direction)
        self._put(box, hit, depth[hit].astype(np.float32), facing, color,
                  label, stripes)

    def picture(self):
        """Return the finished picture.

        Returns:
            np.ndarray: (H, W, 3) uint8, RGB; each pixel is the mean of its
            samples.
        """
        return cv2.resize(self._color,
                          (self.camera.width, self.camera.height),
                          interpolation=cv2.INTER_AREA)

    def _box(self, shapes):
        """Return the slices of samples that contain some ellipsoids.

        ``shapes`` lists pairs of a centre and (axes * radii) @ (axes *
        radii).T in the frame of the camera. Returns None if the picture
        contains none of them, or if one is too near.
        """
        low, high = [], []
        for center, spread in shapes:
            if center[2] - np.sqrt(spread[2, 2]) < _NEAR:
                return None
            # a plane through the eye touches the ellipsoid when
            # plane @ dual @ plane = 0; here for the planes of one x or y
            dual = spread - np.outer(center, center)
            for axis in (0, 1):
                middle = dual[axis, 2] / dual[2, 2]
                half = np.sqrt(max(middle**2 - dual[axis, axis]
                                   / dual[2, 2], 0))
                low.append(middle - half)
                high.append(middle + half)
        slices = []
        for axis, count in ((1, self.depth.shape[0]),
                            (0, self.depth.shape[1])):
            first = min(low[axis::2]) * self.camera.focal * SAMPLES
            last = max(high[axis::2]) * self.camera.focal * SAMPLES
            first = max(int(np.floor(first + count / 2)), 0)
            last = min(int(np.ceil(last + count / 2)), count)
            if first >= last:
                return None
            slices.append(slice(first, last))
        return tuple(slices)

    def _put(self, box, hit, depth, facing, color, label, stripes):
        """Write the samples of a box where ``hit`` is true.

        The other arrays have one value for each of these samples; ``facing``
        is the cosine between normal and light.
        """
        self.depth[box][hit] = depth
        self.label[box][hit] = label
        ambient = self._light.ambient
        # half of the soft light wraps around the surface
        shade = np.atleast_1d(ambient + (1 - ambient) * (
            0.5 + 0.5 * np.asarray(facing, np.float32)))
        color = np.asarray(color, np.float32)
        if stripes is not None:
            rows, columns = np.nonzero(hit)
            way = (stripes.direction[0] * self._x[box[1]][columns]
                   + stripes.direction[1] * self._y[box[0]][rows]
                   + stripes.direction[2]) * depth
            odd = np.floor((way - stripes.phase) / stripes.period) % 2 > 0
            color = np.where(odd[:, None],
                             np.asarray(stripes.color, np.float32), color)
        self._color[box][hit] = np.clip(color * shade[:, None], 0, 255)
