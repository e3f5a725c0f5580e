"""Photograph a subject in a room, and its alpha through the same lens.

The alpha of a pixel is the share of camera samples, over the square of the
pixel, the lens and the exposure, that the subject blocks:

.. math:: I = \\alpha F + (1 - \\alpha) B

It is traced, not derived from edges: the subject is black and stands in front
of a wall with radiance 1, so the picture is 1 - alpha. A sheer surface blocks
light according to its opacity, however many lie behind each other.
"""
from dataclasses import replace

import cv2
import numpy as np

from genpercept_mm.datasets.io.hypersim_io import tone_map

from .parts import Sheer
from .shots import Shot
from ..rooms.primitives import Material, Primitive, Room
from ..rooms.render import RoomRenderer

#: Number of camera positions during an exposure with motion.
_EXPOSURES = 8
# farther than any room is deep, in metres
_BACKDROP = 50.0


class LensRenderer(RoomRenderer):
    """Render a scene through a lens, with sheer materials.

    Args:
        room (Room): The room to render.
        shapes (dict, optional): Cache of the shapes that were built, by
            primitive; sharing it among the renderers of one room saves most
            of their start-up time. Defaults to None.

    Raises:
        ImportError: If Mitsuba is not installed.
    """

    def __init__(self, room, shapes=None):
        self._shapes = {} if shapes is None else shapes
        super().__init__(room)

    def _build_shape(self, name, primitive):
        if primitive not in self._shapes:
            shape = super()._build_shape(name, primitive)
            if isinstance(shape, dict):
                shape = self._mi.load_dict(shape)
            self._shapes[primitive] = shape
        self._shapes[primitive].set_id(name)
        return self._shapes[primitive]

    def _build_bsdf(self, material):
        new = material not in self._bsdfs
        bsdf = super()._build_bsdf(material)
        if new and isinstance(material, Sheer):
            bsdf = self._bsdfs[material] = self._mi.load_dict(dict(
                type='mask', opacity=material.opacity, bsdf=bsdf))
        return bsdf

    def expose(self, shot, width, height, spp, seed, integrator):
        """Path-trace the radiance that reaches the film.

        Args:
            shot (Shot): Camera, lens and motion; its surfaces are ignored.
            width (int): Width of the picture in pixels.
            height (int): Height of the picture in pixels.
            spp (int): Samples per pixel; at least one for each position of a
                moving camera.
            seed (int): Seed of the sampling noise, >= 0.
            integrator (dict): Description of the method for Mitsuba.

        Returns:
            np.ndarray: (H, W, 3) float32, linear RGB radiance, >= 0.
        """
        mi = self._mi
        # a fixed block size, so that seeds do not depend on the number of
        # cores
        integrator = mi.load_dict(dict(integrator, block_size=16))
        moves = np.any(shot.slide)
        count = _EXPOSURES if moves else 1
        seeds = np.random.SeedSequence(seed).generate_state(count)
        total = 0
        for step, noise in enumerate(seeds):
            share = (step + 0.5) / count - 0.5
            camera = replace(shot.camera, position=shot.camera.position
                             + share * np.asarray(shot.slide))
            sensor = dict(
                self._sensor(camera, width, height, shot.fov),
                sampler=dict(type='multijitter',
                             sample_count=-(-spp // count)))
            if shot.aperture:
                sensor.update(type='thinlens', aperture_radius=shot.aperture,
                              focus_distance=shot.focus)
            total = total + np.array(mi.render(
                self._scene, sensor=mi.load_dict(sensor), seed=int(noise),
                integrator=integrator), dtype=np.float32)
        picture = np.nan_to_num(total / count, posinf=0, neginf=0)
        return np.maximum(picture, 0)


def render_color(shot: Shot, width, height, spp=12, seed=0, shapes=None):
    """Photograph a subject in its room.

    Args:
        shot (Shot): The photograph to take.
        width (int): Width of the picture in pixels.
        height (int): Height of the picture in pixels.
        spp (int): Samples per pixel. Defaults to 12.
        seed (int): Seed of the sampling noise. Defaults to 0.
        shapes (dict, optional): See :class:`LensRenderer`. Defaults to
            None.

    Returns:
        np.ndarray: (H, W, 3) float32, linear RGB radiance, noisy.
    """
    renderer = LensRenderer(_as_room(shot.room + shot.subject), shapes)
    # only this method lets shadow rays pass through sheer cloth
    sheer = any(isinstance(part.material, Sheer) for part in shot.subject)
    return renderer.expose(
        shot, width, height, spp, seed,
        dict(type='volpath' if sheer else 'path', max_depth=4, rr_depth=3))


def render_alpha(shot: Shot, width, height, spp=48, seed=0):
    """Trace how much of each pixel the subject covers.

    Args:
        shot (Shot): The photograph to take; nothing in its room may hide
            the subject.
        width (int): Width of the picture in pixels.
        height (int): Height of the picture in pixels.
        spp (int): Samples per pixel. Defaults to 48.
        seed (int): Seed of the sampling noise. Defaults to 0.

    Returns:
        np.ndarray: (H, W) float32 in [0, 1].
    """
    # a black mirror ends a path without sampling lights
    black = dict(kind='mirror', color=(0.0,) * 3)
    opaque = Material(**black)
    parts = []
    for part in shot.subject:
        opacity = getattr(part.material, 'opacity', None)
        parts.append(replace(part, material=opaque if opacity is None else
                             Sheer(**black, opacity=opacity)))
    pose = np.eye(4)
    # wide enough for what a moving lens sees beside the picture
    pose[:3, :3] = shot.camera.rotation * (
        4 * _BACKDROP * np.tan(shot.fov / 2) * np.array([1, 1, 0])
        + (0, 0, 1))
    pose[:3, 3] = (shot.camera.position
                   - _BACKDROP * shot.camera.rotation[:, 2])
    parts.append(Primitive('rectangle', pose, Material(
        **black, emission=(1.0,) * 3), -1, -1))
    renderer = LensRenderer(_as_room(parts))
    # every sheer surface takes one step of the path
    passed = renderer.expose(shot, width, height, spp, seed, dict(
        type='path', max_depth=64, rr_depth=1000))
    return np.clip(1 - passed[..., 0], 0, 1)


def _as_room(primitives):
    return Room('living', (0.0, 0.0, 0.0), primitives)


def develop(color):
    """Turn radiance into a denoised picture.

    Non-local means (Buades et al., CVPR 2005), as strong as the noise that
    second differences indicate (Immerkaer, CVIU 1996).

    Args:
        color (np.ndarray): (H, W, 3) float32, linear RGB radiance.

    Returns:
        np.ndarray: (H, W, 3) uint8 RGB.
    """
    # a rare bright path is darkened to the level of its neighbourhood
    brightness = color.mean(axis=-1)
    padded = np.pad(brightness, 1, mode='edge')
    rows, columns = brightness.shape
    around = np.stack([padded[i:i + rows, j:j + columns] for i in range(3)
                       for j in range(3) if (i, j) != (1, 1)])
    usual = np.sort(around, axis=0)[-2]
    excess = np.maximum(brightness / np.maximum(1.3 * usual, 1e-6), 1)
    picture = tone_map(color / excess[..., None])
    grey = picture.mean(axis=-1)
    taps = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], float)
    response = np.abs(cv2.filter2D(grey, -1, taps))
    # the median ignores edges; 6 and 0.6745 turn it into a deviation
    noise = np.median(response) / 6 / 0.6745
    strength = float(np.clip(1.2 * noise, 2, 9))
    return cv2.fastNlMeansDenoisingColored(picture, None, strength,
                                           2 * strength, 3, 15)
