import sys

import numpy as np
import pytest
from miniworld.rooms.furnishing import make_room
from miniworld.rooms.primitives import (
    NYU40_IDS,
    Camera,
    Material,
    Mesh,
    Primitive,
    Room,
    Texture,
)
from miniworld.rooms.render import (
    RoomRenderer,
    _denoise,
)

WIDTH, HEIGHT = 24, 18
FOCAL = WIDTH / 2 / np.tan(np.pi / 6)


def _box(low, high, semantic, instance=1, material=None):
    low, high = np.array(low, float), np.array(high, float)
    matrix = np.diag([*(high - low) / 2, 1.0])
    matrix[:3, 3] = (low + high) / 2
    return Primitive('box', matrix, material or Material(), semantic,
                     instance)


def _render(primitives, camera):
    pytest.importorskip('mitsuba')
    room = Room('living', (4.0, 4.0, 2.5), primitives)
    return RoomRenderer(room).cast_geometry(camera, WIDTH, HEIGHT)


def _image_plane():
    """Return X to the right and Y up of all pixel centres, in pixels."""
    return np.meshgrid(np.linspace(-(WIDTH - 1) / 2, (WIDTH - 1) / 2, WIDTH),
                       np.linspace((HEIGHT - 1) / 2, -(HEIGHT - 1) / 2,
                                   HEIGHT))


def test_facing_wall_matches_closed_form():
    camera = Camera.look_at((1, 0, 1.5), (1, 3, 1.5))
    maps = _render([_box((-9, 3, -9), (9, 4, 9), 1)], camera)
    x, y = _image_plane()
    ray = np.sqrt(x**2 + y**2 + FOCAL**2)
    assert np.allclose(maps['depth_meters'], 3 * ray / FOCAL, atol=1e-4)
    # Hypersim's formula for planar depth turns it into a constant
    planar = maps['depth_meters'] * FOCAL / ray
    assert np.allclose(planar, 3, atol=1e-4)
    assert np.allclose(maps['normal_cam'], (0, 0, 1), atol=1e-6)
    assert np.allclose(maps['normal_world'], (0, -1, 0), atol=1e-6)
    assert np.allclose(maps['position'][..., 1], 3, atol=1e-4)
    # looking along +y, x of the world is to the right
    assert np.allclose(maps['position'][..., 0], 1 + 3 * x / FOCAL,
                       atol=1e-4)


def test_floor_seen_by_a_tilted_camera_matches_closed_form():
    camera = Camera.look_at((0, 0, 1.6), (2, 1, 0))
    maps = _render([_box((-99, -99, -1), (99, 99, 0), 2)], camera)
    x, y = _image_plane()
    rays = np.stack([x, y, np.full_like(x, -FOCAL)], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    drop = -(rays @ camera.rotation.T)[..., 2]
    hit = drop > 0.05
    assert hit.sum() > 100
    assert np.allclose(maps['depth_meters'][hit], 1.6 / drop[hit],
                       rtol=1e-5, atol=1e-4)
    up = camera.rotation.T @ (0, 0, 1)
    assert np.allclose(maps['normal_cam'][hit], up, atol=1e-6)
    assert up[1] > 0.7, 'a floor is about (0, 1, 0) in the camera'


def test_sphere_matches_closed_form():
    center, radius = np.array([0.3, 3.0, 1.2]), 0.9
    matrix = np.diag([radius, radius, radius, 1.0])
    matrix[:3, 3] = center
    camera = Camera.look_at((0, 0, 1.5), (0, 3, 1.2))
    maps = _render([Primitive('sphere', matrix, Material(), 40, 1)], camera)
    x, y = _image_plane()
    rays = np.stack([x, y, np.full_like(x, -FOCAL)], axis=-1)
    rays = rays @ camera.rotation.T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    # |o + t r - c|^2 = R^2
    half = rays @ (camera.position - center)
    rest = half**2 - ((camera.position - center)**2).sum() + radius**2
    hit = rest > 0
    assert 50 < hit.sum() < hit.size
    distance = -half - np.sqrt(np.where(hit, rest, 0))
    assert np.array_equal(np.isfinite(maps['depth_meters']), hit)
    assert np.allclose(maps['depth_meters'][hit], distance[hit], atol=1e-4)
    normal = (camera.position + distance[..., None] * rays - center) / radius
    assert np.allclose(maps['normal_world'][hit], normal[hit], atol=1e-4)


def test_pixels_that_leave_the_room_are_empty():
    pane = np.diag([9.0, 9.0, 1.0, 1.0])
    pane[:3, :3] = pane[:3, :3] @ [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    pane[1, 3] = 5.0
    camera = Camera.look_at((0, 0, 1.5), (0, 3, 1.5))
    outside = Primitive('rectangle', pane, Material(emission=(1, 1, 1)), -1,
                        -1)
    maps = _render([_box((-9, 3, -9), (0, 4, 9), 1), outside], camera)
    left, right = np.s_[:, :WIDTH // 2], np.s_[:, WIDTH // 2:]
    assert np.isfinite(maps['depth_meters'][left]).all()
    assert (maps['semantic'][left] == 1).all()
    assert np.isnan(maps['depth_meters'][right]).all()
    assert np.isnan(maps['position'][right]).all()
    for name in ('semantic', 'semantic_instance', 'render_entity_id'):
        assert (maps[name][right] == -1).all()
    assert (maps['normal_cam'][right] == 0).all()


def test_silhouette_normals_of_meshes_face_the_viewer():
    """A triangle whose smooth normals all point away keeps its own."""
    pytest.importorskip('mitsuba')
    mesh = Mesh(np.array([(-9.0, 3, -9), (9, 3, -9), (0, 3, 9)]),
                np.array([(0, 1, 2)]),
                np.tile((0.8, 0.6, 0.0), (3, 1)))
    camera = Camera.look_at((0, 0, 0), (0, 3, 0))
    maps = _render([Primitive('mesh', np.eye(4), Material(), 1, 1, mesh)],
                   camera)
    center = maps['normal_world'][HEIGHT // 2, WIDTH // 2]
    assert np.allclose(center, (-0.8, -0.6, 0), atol=1e-6)
    mesh = Mesh(mesh.vertices, mesh.faces, np.tile((1.0, -0.1, 0), (3, 1)))
    maps = _render([Primitive('mesh', np.eye(4), Material(), 1, 1, mesh)],
                   camera)
    # x to the right: the smooth normal turns from the viewer there
    assert np.allclose(maps['normal_world'][HEIGHT // 2, -1], (0, -1, 0),
                       atol=1e-6)


@pytest.fixture(scope='module')
def furnished():
    pytest.importorskip('mitsuba')
    room = make_room(0, 1, 2)
    renderer = RoomRenderer(room)
    return room, renderer, [renderer.cast_geometry(c, 32, 24)
                            for c in room.cameras]


def test_furnished_room_has_unit_normals_towards_the_viewer(furnished):
    room, _, views = furnished
    for camera, maps in zip(room.cameras, views):
        hit = np.isfinite(maps['depth_meters'])
        assert hit.mean() > 0.5
        normal, point = maps['normal_world'][hit], maps['position'][hit]
        assert np.allclose(np.linalg.norm(normal, axis=-1), 1, atol=1e-5)
        to_camera = camera.position - point
        assert ((normal * to_camera).sum(-1) > -1e-6).all()
        # the two frames are related by the camera's pose
        assert np.allclose(maps['normal_cam'][hit],
                           normal @ camera.rotation, atol=1e-5)


def test_furnished_room_position_distance_and_rays_agree(furnished):
    room, _, views = furnished
    for camera, maps in zip(room.cameras, views):
        hit = np.isfinite(maps['depth_meters'])
        offset = maps['position'] - camera.position
        assert np.allclose(np.linalg.norm(offset[hit], axis=-1),
                           maps['depth_meters'][hit], atol=1e-4)
        local = offset @ camera.rotation
        focal = 16 / np.tan(np.pi / 6)
        column = -local[..., 0] / local[..., 2] * focal + 15.5
        row = local[..., 1] / local[..., 2] * focal + 11.5
        rows, columns = np.mgrid[0:24, 0:32]
        assert np.allclose(column[hit], columns[hit], atol=1e-3)
        assert np.allclose(row[hit], rows[hit], atol=1e-3)


def test_labels_name_the_surface_that_was_hit(furnished):
    room, _, views = furnished
    for maps in views:
        entity = maps['render_entity_id']
        assert entity.dtype == np.int32 and maps['semantic'].dtype == np.int16
        assert (entity != 0).all()
        rows, columns = np.nonzero(entity > 0)
        assert len(rows) > 300
        for y, x in zip(rows[::7], columns[::7]):
            part = room.primitives[entity[y, x] - 1]
            assert maps['semantic'][y, x] == part.semantic
            assert maps['semantic_instance'][y, x] == part.instance
            low, high = part.bounds()
            assert (maps['position'][y, x] > low - 1e-3).all()
            assert (maps['position'][y, x] < high + 1e-3).all()
        assert NYU40_IDS['floor'] in maps['semantic']


def test_color_is_finite_deterministic_and_depends_on_the_seed(furnished):
    room, renderer, _ = furnished
    camera = room.cameras[0]
    first = renderer.render_frame(camera, 16, 12, spp=4, seed=1)['color']
    again = renderer.render_frame(camera, 16, 12, spp=4, seed=1)['color']
    other = renderer.render_frame(camera, 16, 12, spp=4, seed=2)['color']
    assert first.shape == (12, 16, 3) and first.dtype == np.float32
    assert np.isfinite(first).all() and (first >= 0).all()
    assert first.mean() > 1e-3
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_picture_and_geometry_show_the_same_view():
    """A glowing panel left of the centre and above it glows there."""
    pytest.importorskip('mitsuba')
    panel = np.eye(4)
    panel[:3, :3] = np.array([(-1, 0, 0), (0, 0, 1), (0, 1, 0)], float).T
    panel[:3, :3] *= 0.5
    # 3 m in front of a camera that looks along -y
    panel[:3, 3] = 0.8, -3, 0.6
    red, blue = (1.0, 0, 0), (0, 0, 1.0)
    image = np.empty((8, 8, 3), np.float32)
    image[:4], image[4:] = red, blue
    lamp = Primitive('rectangle', panel, Material(
        texture=Texture(image), emission=(1.0, 1.0, 1.0)), 35, 1)
    room = Room('living', (4.0, 4.0, 2.5), [lamp])
    camera = Camera.look_at((0, 0, 0), (0, -3, 0))
    maps = RoomRenderer(room).render_frame(camera, 48, 36, spp=4)
    lit = maps['color'].sum(axis=-1) > 0.5
    # pixels at the border are lit in part
    assert (lit == (maps['semantic'] == 35)).mean() > 0.95
    rows, columns = np.nonzero(lit)
    assert len(rows) > 100
    assert columns.mean() < 24 and rows.mean() < 18
    assert maps['color'][rows.min() + 1, columns[0] + 3, 0] > 0.9, 'top red'
    assert maps['color'][rows.max() - 1, columns[0] + 3, 2] > 0.9


def test_diffuse_plane_under_an_area_light_has_its_analytic_radiance():
    """Radiance is albedo / pi times irradiance, computed by quadrature."""
    pytest.importorskip('mitsuba')
    light = np.diag([0.5, -0.5, -1.0, 1.0])
    light[2, 3] = 2.0
    albedo = 0.6
    room = Room('living', (4.0, 4.0, 2.5), [
        _box((-50, -50, -1), (50, 50, 0), 2,
             material=Material(color=(albedo,) * 3)),
        Primitive('rectangle', light, Material(
            color=(0.01,) * 3, emission=(5.0, 5.0, 5.0)), 35, 2)])
    camera = Camera.look_at((1.5, 0, 1), (0, 0, 0))
    maps = RoomRenderer(room).render_frame(camera, 9, 7, spp=512, fov=0.1)
    point = maps['position'][3, 4]
    assert np.allclose(point, 0, atol=1e-4)
    grid = (np.arange(100) + 0.5) / 100 - 0.5
    x, y = np.meshgrid(grid, grid)
    squared = x**2 + y**2 + 4.0
    irradiance = (5.0 * (4.0 / squared) / squared).mean()
    assert np.allclose(maps['color'][3, 4], albedo / np.pi * irradiance,
                       rtol=0.03)


def test_denoising_keeps_edges_textures_and_emitters():
    rng = np.random.default_rng(0)
    truth = np.ones((24, 32, 3), np.float32)
    entity = np.ones((24, 32), int)
    entity[:, 16:] = 2
    truth[:, 16:] = 3.0
    albedo = np.where((np.arange(32) % 4 < 2)[None, :, None], 0.2,
                      0.8).repeat(24, 0).repeat(3, 2)
    albedo[:4] = 0
    radiance = np.where(albedo > 0, albedo, 1) * truth
    normal = np.broadcast_to((0.0, 0, 1), (24, 32, 3))
    noisy = [radiance * (1 + 0.3 * rng.standard_normal((24, 32, 1)))
             for _ in range(2)]
    clean = _denoise(*noisy, albedo, entity, normal)
    raw = (noisy[0] + noisy[1]) / 2
    error = np.abs(clean - radiance)[4:].mean()
    assert error < 0.4 * np.abs(raw - radiance)[4:].mean()
    assert np.allclose(clean[:4], raw[:4], rtol=1e-5)
    # without noise nothing changes, whatever the texture
    assert np.allclose(_denoise(radiance, radiance, albedo, entity, normal),
                       radiance, rtol=1e-5)


def test_missing_mitsuba_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mitsuba', None)
    with pytest.raises(ImportError, match='pip install mitsuba'):
        RoomRenderer(Room('living', (4.0, 4.0, 2.5)))
