"""Path-trace a described room and cast exact rays for its geometry maps."""
from dataclasses import dataclass
from typing import Dict, Optional

import cv2
import numpy as np

from .meshes import Mesh
from .primitives import FIELD_OF_VIEW, Camera, Material, Primitive, Room


def _import_mitsuba():
    """Import Mitsuba and select the variant that runs on every machine."""
    try:
        import mitsuba
    except ImportError as error:
        raise ImportError(
            'RoomRenderer: rendering needs Mitsuba 3, which is not '
            'installed; run `pip install mitsuba`.') from error
    if mitsuba.variant() != 'scalar_rgb':
        mitsuba.set_variant('scalar_rgb')
    mitsuba.set_log_level(mitsuba.LogLevel.Error)
    return mitsuba


def _box_mesh() -> Mesh:
    """Return [-1, 1]^3 with separate vertices per face."""
    vertices, faces, normals = [], [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            u, v = [k for k in range(3) if k != axis]
            corners = np.full((4, 3), sign)
            corners[:, u], corners[:, v] = (-1, 1, 1, -1), (-1, -1, 1, 1)
            # the face u x v points along +axis for axes 0 and 2
            order = np.array([(0, 1, 2), (0, 2, 3)])
            if (sign > 0) == (axis == 1):
                order = order[:, ::-1]
            faces.append(order + len(vertices) * 4)
            vertices.append(corners)
            normals.append(np.eye(3)[[axis] * 4] * sign)
    return Mesh(np.concatenate(vertices), np.concatenate(faces),
                np.concatenate(normals))


_BOX = _box_mesh()


def _metric_uv(mesh: Mesh, to_world: np.ndarray, material: Material):
    """Project texture coordinates along each vertex's dominant normal.

    Args:
        mesh (Mesh): In its own frame.
        to_world (np.ndarray): (4, 4); only its scale matters.
        material (Material): Its texture has a size in metres.

    Returns:
        np.ndarray: (V, 2) float64, in repetitions of the texture.
    """
    texture = material.texture
    scaled = mesh.vertices * np.linalg.norm(to_world[:3, :3], axis=0)
    extent = np.ptp(scaled, axis=0)
    uv = np.empty((len(scaled), 2))
    for axis in range(3):
        rows = np.abs(mesh.normals).argmax(axis=1) == axis
        u, v = [k for k in range(3) if k != axis]
        if texture.follow_length and extent[v] > extent[u]:
            u, v = v, u
        uv[rows] = scaled[rows][:, [u, v]]
    return uv / texture.size


class RoomRenderer:
    """Render pictures and geometry maps of one room with Mitsuba 3.

    Selects the variant ``scalar_rgb``, which needs neither a GPU nor LLVM.
    Colour and geometry come from the same scene.

    Args:
        room (Room): The room to render.

    Raises:
        ImportError: If Mitsuba is not installed.
    """

    def __init__(self, room: Room) -> None:
        self._mi = _import_mitsuba()
        self._primitives = room.primitives
        self._bsdfs: Dict[Material, object] = {}
        scene = dict(type='scene', integrator=dict(
            type='path', max_depth=5, rr_depth=4))
        for number, primitive in enumerate(room.primitives):
            # a ray reports the name of the shape that it hits
            name = f'p{number}'
            scene[name] = self._build_shape(name, primitive)
        self._scene = self._mi.load_dict(scene)

    def _build_shape(self, name: str, primitive: Primitive):
        mesh = dict(box=_BOX, mesh=primitive.mesh).get(primitive.shape)
        if mesh is not None:
            return self._build_mesh(name, mesh, primitive)
        shape = dict(
            type=primitive.shape, bsdf=self._build_bsdf(primitive.material),
            to_world=self._mi.ScalarTransform4f(primitive.to_world))
        emitter = self._build_emitter(primitive)
        if emitter is not None:
            shape['emitter'] = emitter
        return shape

    def _build_mesh(self, name: str, mesh: Mesh, primitive: Primitive):
        """Build a mesh in world coordinates."""
        mi = self._mi
        material, to_world = primitive.material, primitive.to_world
        properties = mi.Properties()
        properties['mesh_bsdf'] = self._build_bsdf(material)
        emitter = self._build_emitter(primitive)
        if emitter is not None:
            properties['mesh_emitter'] = mi.load_dict(emitter)
        textured = material.texture is not None
        # flat faces stay exactly flat without interpolated normals
        smooth = primitive.shape != 'box'
        shape = mi.Mesh(name, len(mesh.vertices), len(mesh.faces),
                        props=properties, has_vertex_normals=smooth,
                        has_vertex_texcoords=textured)
        params = mi.traverse(shape)
        vertices = mesh.vertices @ to_world[:3, :3].T + to_world[:3, 3]
        params['vertex_positions'] = vertices.astype(np.float32).ravel()
        params['faces'] = mesh.faces.astype(np.uint32).ravel()
        if smooth:
            normals = mesh.normals @ np.linalg.inv(to_world[:3, :3])
            normals /= np.linalg.norm(normals, axis=1, keepdims=True)
            params['vertex_normals'] = normals.astype(np.float32).ravel()
        if textured:
            uv = _metric_uv(mesh, to_world, material)
            params['vertex_texcoords'] = uv.astype(np.float32).ravel()
        params.update()
        return shape

    def _build_bitmap(self, image: np.ndarray) -> dict:
        # Mitsuba has the first row at v = 0, which is the lower edge here
        return dict(
            type='bitmap', raw=True, bitmap=self._mi.Bitmap(
                np.ascontiguousarray(image[::-1], np.float32)))

    def _build_emitter(self, primitive: Primitive) -> Optional[dict]:
        material = primitive.material
        if material.emission is None:
            return None
        if material.texture is None:
            radiance = dict(type='rgb', value=list(material.emission))
            mean = np.mean(material.emission)
        else:
            image = material.texture.image * material.emission
            radiance = self._build_bitmap(image)
            mean = image.mean()
        low, high = primitive.bounds()
        # samples are distributed by power (up to a constant), which leaves
        # less noise than Mitsuba's uniform choice
        x, y, z = high - low
        return dict(type='area', radiance=radiance,
                    sampling_weight=float(mean * (x * y + y * z + z * x)))

    def _build_bsdf(self, material: Material):
        """Translate a material, once for all surfaces that share it."""
        if material in self._bsdfs:
            return self._bsdfs[material]
        # the texture of an emitter is its radiance
        if material.texture is None or material.emission is not None:
            color = dict(type='rgb', value=list(material.color))
        else:
            color = self._build_bitmap(material.texture.image)
        bsdf = dict(
            diffuse=dict(type='diffuse', reflectance=color),
            glossy=dict(type='roughplastic', diffuse_reflectance=color,
                        alpha=material.roughness),
            metal=dict(type='roughconductor', material='none',
                       specular_reflectance=color, alpha=material.roughness),
            mirror=dict(type='conductor', material='none',
                        specular_reflectance=color))[material.kind]
        bsdf = self._mi.load_dict(dict(type='twosided', bsdf=bsdf))
        self._bsdfs[material] = bsdf
        return bsdf

    def render_frame(self, camera: Camera, width: int, height: int,
                     spp: int = 32, seed: int = 0,
                     fov: float = FIELD_OF_VIEW) -> Dict[str, np.ndarray]:
        """Render a picture and its geometry maps.

        Args:
            camera (Camera): The view.
            width (int): Width of the picture in pixels.
            height (int): Height of the picture in pixels.
            spp (int): Samples per pixel, rounded up to an even number.
                Defaults to 32.
            seed (int): Seed of the sampling noise, >= 0. Defaults to 0.
            fov (float): Horizontal field of view in radians. Defaults to
                pi / 3.

        Returns:
            dict[str, np.ndarray]: The maps of :meth:`cast_geometry` and
            ``color``, (H, W, 3) float32: linear RGB radiance, finite and
            >= 0, averaged over each pixel's square and denoised.
        """
        rays = camera.pixel_rays(width, height, fov)
        surface = self._cast_rays(camera, rays)
        # the difference of two halves estimates the noise of each pixel
        seeds = np.random.SeedSequence(seed).generate_state(2)
        halves = [self._trace(camera, width, height, (spp + 1) // 2, int(s),
                              fov) for s in seeds]
        maps = self._geometry_maps(camera, rays, surface)
        maps['color'] = _denoise(
            *halves, surface.albedo.reshape(height, width, 3),
            maps['render_entity_id'], maps['normal_world'])
        return maps

    def cast_geometry(self, camera: Camera, width: int, height: int,
                      fov: float = FIELD_OF_VIEW) -> Dict[str, np.ndarray]:
        """Cast one ray through every pixel centre.

        Args:
            camera (Camera): The view.
            width (int): Width of the picture in pixels.
            height (int): Height of the picture in pixels.
            fov (float): Horizontal field of view in radians. Defaults to
                pi / 3.

        Returns:
            dict[str, np.ndarray]: Hypersim's geometry maps:

            - depth_meters: (H, W) float32, Euclidean distance to the
              optical centre, metres; NaN where the view leaves the room.
            - position: (H, W, 3) float32, world, metres; NaN there.
            - normal_world, normal_cam: (H, W, 3) float32, unit length,
              towards the viewer; camera axes are x right, y up, z
              backwards; zero there.
            - semantic: (H, W) int16, NYU40 id; -1 there.
            - semantic_instance: (H, W) int32, object number from 1; -1
              there.
            - render_entity_id: (H, W) int32, surface number from 1; -1
              there.
        """
        rays = camera.pixel_rays(width, height, fov)
        return self._geometry_maps(camera, rays,
                                   self._cast_rays(camera, rays))

    def _trace(self, camera: Camera, width: int, height: int, spp: int,
               seed: int, fov: float) -> np.ndarray:
        """Path-trace the radiance at the camera; (H, W, 3) float32."""
        sensor = self._mi.load_dict(dict(
            self._sensor(camera, width, height, fov),
            sampler=dict(type='independent', sample_count=spp)))
        color = np.array(self._mi.render(self._scene, sensor=sensor, spp=spp,
                                         seed=seed), dtype=np.float32)
        return np.maximum(np.nan_to_num(color, posinf=0, neginf=0), 0)

    def _sensor(self, camera: Camera, width: int, height: int,
                fov: float) -> dict:
        """Describe a pinhole camera to Mitsuba, without its sampler."""
        to_world = np.eye(4)
        # Mitsuba's camera looks along +z and has x to the left
        to_world[:3, :3] = camera.rotation * (-1, 1, -1)
        to_world[:3, 3] = camera.position
        return dict(
            type='perspective', fov=float(np.rad2deg(fov)), fov_axis='x',
            to_world=self._mi.ScalarTransform4f(to_world),
            # blocks rendered in parallel overlap under wider filters, so
            # that their sums would depend on the order of the threads
            film=dict(type='hdrfilm', width=width, height=height,
                      rfilter=dict(type='box'), pixel_format='rgb',
                      component_format='float32'))

    def _cast_rays(self, camera: Camera, rays: np.ndarray) -> '_Surface':
        """Find the first surface that each ray hits."""
        mi = self._mi
        rays = rays.reshape(-1, 3)
        origin = mi.Point3f(*camera.position.tolist())
        surface = _Surface(
            entity=np.full(len(rays), -1, dtype=np.int32),
            distance=np.full(len(rays), np.nan),
            facet=np.zeros((len(rays), 3)),
            smooth=np.zeros((len(rays), 3)),
            albedo=np.zeros((len(rays), 3), dtype=np.float32))
        for number, ray in enumerate(rays.tolist()):
            hit = self._scene.ray_intersect(
                mi.Ray3f(origin, mi.Vector3f(*ray)))
            if not hit.is_valid():
                continue
            index = int(hit.shape.id()[1:])
            primitive = self._primitives[index]
            if primitive.semantic < 0:
                continue
            surface.entity[number] = index + 1
            surface.distance[number] = hit.t
            surface.facet[number] = hit.n
            surface.smooth[number] = hit.sh_frame.n
            material = primitive.material
            if material.emission is None:
                surface.albedo[number] = (
                    material.color if material.texture is None else
                    hit.bsdf().eval_diffuse_reflectance(hit))
        return surface

    def _geometry_maps(self, camera: Camera, rays: np.ndarray,
                       surface: '_Surface') -> Dict[str, np.ndarray]:
        shape = rays.shape[:2]
        rays = rays.reshape(-1, 3)
        normal = _face_viewer(surface.facet, surface.smooth, rays)
        labels = np.array([-1] + [p.semantic for p in self._primitives])
        objects = np.array([-1] + [p.instance for p in self._primitives])
        row = np.maximum(surface.entity, 0)
        position = camera.position + surface.distance[:, None] * rays

        def image(values, dtype):
            return values.reshape(*shape, *values.shape[1:]).astype(dtype)

        return dict(
            depth_meters=image(surface.distance, np.float32),
            position=image(position, np.float32),
            normal_world=image(normal, np.float32),
            normal_cam=image(normal @ camera.rotation, np.float32),
            semantic=image(labels[row], np.int16),
            semantic_instance=image(objects[row], np.int32),
            render_entity_id=image(surface.entity, np.int32))


@dataclass(eq=False)
class _Surface:
    """What P rays hit; rays that leave the room keep the initial values.

    Attributes:
        entity (np.ndarray): (P,) surface number from 1, initially -1.
        distance (np.ndarray): (P,) metres, initially NaN.
        facet (np.ndarray): (P, 3) normals of the triangles.
        smooth (np.ndarray): (P, 3) interpolated normals.
        albedo (np.ndarray): (P, 3) reflectance, zero on emitters.
    """
    entity: np.ndarray
    distance: np.ndarray
    facet: np.ndarray
    smooth: np.ndarray
    albedo: np.ndarray


def _denoise(first: np.ndarray, second: np.ndarray, albedo: np.ndarray,
             entity: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Average two noisy pictures and smooth the light within surfaces.

    An edge-avoiding wavelet filter on the irradiance (Dammertz et al., HPG
    2010) whose tolerance follows the estimated variance as in SVGF (Schied
    et al., HPG 2017). Textures stay sharp because the albedo is divided out;
    emitters and the outside are not filtered.

    Args:
        first (np.ndarray): (H, W, 3) linear radiance.
        second (np.ndarray): (H, W, 3), with independent noise.
        albedo (np.ndarray): (H, W, 3), zero where nothing is filtered.
        entity (np.ndarray): (H, W) int; light is only mixed within a surface.
        normal (np.ndarray): (H, W, 3) unit length.

    Returns:
        np.ndarray: (H, W, 3) float32, linear radiance.
    """
    color = (first + second) / 2
    matte = albedo.max(axis=-1) > 0.01
    divisor = np.where(matte[..., None], np.maximum(albedo, 0.02), 1)
    light = (color / divisor).astype(np.float32)
    noise = np.abs(first - second) / divisor / 2

    # a rare bright path is darkened to the level of its neighbourhood
    brightness = light.mean(axis=-1)
    usual = cv2.medianBlur(brightness, 5)
    excess = np.maximum(brightness / np.maximum(2.5 * usual, 1e-6), 1)
    light /= np.where(matte, excess, 1)[..., None]
    # running sums in the blur may round to less than zero
    variance = np.maximum(
        cv2.blur((noise.mean(axis=-1) / excess)**2, (5, 5)), 0)

    height, width = entity.shape
    taps = np.array([1, 4, 6, 4, 1], np.float32) / 16
    for step in (1, 2, 4):
        brightness = light.mean(axis=-1)
        tolerance = 3 * np.sqrt(variance) + 0.02 * brightness + 1e-6
        # one array, so that each of the 25 neighbours is one slice
        guide = np.concatenate([
            light, normal, brightness[..., None], variance[..., None],
            entity[..., None]], axis=-1).astype(np.float32)
        pad = 2 * step
        guide = np.pad(guide, [(pad, pad), (pad, pad), (0, 0)], mode='edge')
        total = np.zeros((height, width), np.float32)
        new_light = np.zeros_like(light)
        new_variance = np.zeros_like(variance)
        for i, row in enumerate(range(0, 5 * step, step)):
            for j, column in enumerate(range(0, 5 * step, step)):
                other = guide[row:row + height, column:column + width]
                gap = np.abs(other[..., 6] - brightness) / tolerance
                cosine = (other[..., 3:6] * normal).sum(axis=-1)
                weight = (taps[i] * taps[j] * np.exp(-gap)
                          * np.clip(cosine, 0, 1)**32
                          * (other[..., 8] == entity))
                if i == j == 2:
                    # a pixel without a normal keeps its own value
                    weight = np.full_like(weight, taps[2]**2)
                total += weight
                new_light += weight[..., None] * other[..., :3]
                new_variance += weight**2 * other[..., 7]
        light = np.where(matte[..., None], new_light / total[..., None],
                         light)
        variance = new_variance / total**2
    return (light * divisor).astype(np.float32)


def _face_viewer(facet: np.ndarray, smooth: np.ndarray,
                 rays: np.ndarray) -> np.ndarray:
    """Turn normals towards the viewer.

    Interpolated normals may point away at silhouettes, where the normal of
    the triangle is used instead.

    Args:
        facet (np.ndarray): (P, 3) normals of the surfaces hit.
        smooth (np.ndarray): (P, 3) interpolated normals.
        rays (np.ndarray): (P, 3) view directions.

    Returns:
        np.ndarray: (P, 3), unit length, n . ray < 0; zero where both inputs
        are zero.
    """
    facet = np.where((facet * rays).sum(1, keepdims=True) > 0, -facet, facet)
    smooth = np.where((facet * smooth).sum(1, keepdims=True) < 0, -smooth,
                      smooth)
    normal = np.where((smooth * rays).sum(1, keepdims=True) < 0, smooth,
                      facet)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    return normal / np.maximum(length, 1e-12)
