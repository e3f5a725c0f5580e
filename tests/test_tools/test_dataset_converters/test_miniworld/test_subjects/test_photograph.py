import sys

import numpy as np
import pytest
from miniworld.rooms.meshes import BALL
from miniworld.rooms.primitives import (
    Camera,
    Material,
    Primitive,
    Room,
    scaled,
)
from miniworld.subjects.parts import Sheer
from miniworld.subjects.photograph import (
    LensRenderer,
    develop,
    render_alpha,
    render_color,
)
from miniworld.subjects.shots import Shot

WIDTH, HEIGHT = 32, 24
FOV = np.pi / 3
FOCAL = WIDTH / 2 / np.tan(FOV / 2)
# looks along +y, so that x is to the right and z up in the picture
CAMERA = Camera.look_at((0, 0, 0), (0, 1, 0))
FRONT, BACK = (0.8, 0.3, 0.1), (0.2, 0.5, 0.9)


@pytest.fixture(autouse=True)
def _needs_mitsuba():
    pytest.importorskip('mitsuba')


def _pane(left, right, low, high, away, material):
    """A rectangle that faces the camera."""
    pose = np.eye(4)
    pose[:3, :3] = np.stack([((left - right) / 2, 0, 0),
                             (0, 0, (high - low) / 2), (0, -1.0, 0)], axis=1)
    pose[:3, 3] = (left + right) / 2, away, (low + high) / 2
    return Primitive('rectangle', pose, material, 40, 1)


def _glow(color):
    return Material(color=(0.0,) * 3, emission=color)


def _wall(away=6.0):
    return _pane(-9, 9, -9, 9, away, _glow(BACK))


def _ball(center, radius, material):
    return Primitive('mesh', scaled((radius,) * 3, center), material, 40, 1,
                     BALL)


def _alpha(parts, spp=64, **kwargs):
    return render_alpha(Shot(parts, [], CAMERA, FOV, **kwargs), WIDTH,
                        HEIGHT, spp)


def _overlap(low, high, count):
    """Return the share of each unit interval [k, k + 1] in [low, high]."""
    edges = np.arange(count)
    return np.clip(np.minimum(edges + 1, high) - np.maximum(edges, low), 0,
                   1)


def test_rectangle_covers_the_pixels_that_it_projects_to():
    alpha = _alpha([_pane(-0.53, 0.31, -0.2, 0.47, 2.0, Material())])
    columns = _overlap(16 - 0.53 / 2 * FOCAL, 16 + 0.31 / 2 * FOCAL, WIDTH)
    rows = _overlap(12 - 0.47 / 2 * FOCAL, 12 + 0.2 / 2 * FOCAL, HEIGHT)
    expected = rows[:, None] * columns
    assert ((expected > 0.05) & (expected < 0.95)).sum() > 20
    assert np.abs(alpha - expected).max() < 0.04
    assert np.array_equal(alpha == 1, expected == 1)
    assert alpha.shape == (HEIGHT, WIDTH) and alpha.dtype == np.float32


def test_sphere_covers_the_area_of_its_outline():
    sphere = Primitive('sphere', scaled((0.6,) * 3, (0, 2.5, 0)), Material(),
                       40, 1)
    alpha = _alpha([sphere])
    # a cone of half angle asin(r / d) meets the film in a circle
    radius = FOCAL * 0.6 / np.sqrt(2.5**2 - 0.6**2)
    assert np.isclose(alpha.sum(), np.pi * radius**2, rtol=0.005)


@pytest.mark.parametrize('opacity', [0.0, 0.3, 0.75, 1.0])
def test_sheer_sheet_has_its_opacity(opacity):
    alpha = _alpha([_pane(-5, 5, -5, 5, 2.0, Sheer(opacity=opacity))])
    # a mean of 49152 yes-or-no samples
    assert abs(alpha.mean() - opacity) < 0.01
    assert alpha.std() < 0.1


def test_sheets_behind_each_other_multiply_what_they_let_through():
    parts = [_pane(-5, 5, -5, 5, 2.0 + 0.1 * k, Sheer(opacity=0.2))
             for k in range(8)]
    assert abs(_alpha(parts).mean() - (1 - 0.8**8)) < 0.01


def test_balloon_stops_light_on_its_near_and_far_side():
    alpha = _alpha([_ball((0, 2.0, 0), 0.5, Sheer(opacity=0.4))])
    radius = FOCAL * 0.5 / np.sqrt(2.0**2 - 0.5**2)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    away = np.hypot(x - 16, y - 12)
    assert abs(alpha[away < radius - 1].mean() - (1 - 0.6**2)) < 0.02
    assert (alpha[away > radius + 1] == 0).all()


def test_material_does_not_matter():
    """Shining, mirroring and black subjects have the same alpha."""
    maps = [_alpha([_ball((0, 2.0, 0), 0.5, material)]) for material in (
        Material(), Material('mirror', (0.9,) * 3), _glow(FRONT),
        Material('glossy', (0.0,) * 3), Material('metal', (0.5,) * 3))]
    assert all(np.array_equal(maps[0], other) for other in maps[1:])


def test_defocused_edge_is_the_integral_of_the_lens():
    """A pixel at the edge sees the segment of a disc."""
    away, focus, aperture = 1.0, 2.0, 0.08
    # the lens is spread over the plane of the edge by similar triangles
    blur = FOCAL / away * aperture * (focus - away) / focus
    assert blur > 1
    alpha = _alpha([_pane(-5, 0, -5, 5, away, Material())], spp=256,
                   aperture=aperture, focus=focus)
    fine = (np.arange(WIDTH * 50) + 0.5) / 50 - 16
    u = np.clip(fine / blur, -1, 1)
    covered = 0.5 - (u * np.sqrt(1 - u**2) + np.arcsin(u)) / np.pi
    expected = covered.reshape(WIDTH, 50).mean(axis=1)
    assert np.abs(alpha.mean(axis=0) - expected).max() < 0.01
    # in focus the edge is that of a pinhole
    sharp = _alpha([_pane(-5, 0, -5, 5, away, Material())],
                   aperture=aperture, focus=away)
    assert np.abs(sharp - (np.arange(WIDTH) < 16)).max() < 0.02


def test_motion_smears_an_edge_evenly():
    slide = 8 / FOCAL
    alpha = _alpha([_pane(-5, 0, -5, 5, 1.0, Material())],
                   slide=(slide, 0, 0))
    expected = np.clip((20 - np.arange(WIDTH) - 0.5) / 8, 0, 1)
    assert np.abs(alpha.mean(axis=0) - expected).max() < 1e-3


@pytest.mark.parametrize('lens', [
    dict(), dict(aperture=0.1, focus=3.0), dict(slide=(0.2, 0.0, 0.1)),
    dict(aperture=0.1, focus=3.0, slide=(0.2, 0.0, 0.1))])
def test_picture_is_the_composite_of_front_and_back(lens):
    front = [_ball((0.2, 1.5, 0), 0.4, _glow(FRONT)),
             _pane(-0.9, -0.6, -0.1, 0.5, 1.2, _glow(FRONT))]
    shot = Shot(front, [_wall()], CAMERA, FOV, **lens)
    alpha = render_alpha(shot, WIDTH, HEIGHT, 64, seed=1)[..., None]
    picture = render_color(shot, WIDTH, HEIGHT, 64, seed=2)
    soft = (alpha > 0.1) & (alpha < 0.9)
    assert soft.sum() > (100 if lens else 20)
    expected = alpha * FRONT + (1 - alpha) * np.array(BACK)
    error = picture - expected
    # two independent shares of 64 samples, times a contrast of 0.8
    assert np.abs(error).max() < 0.25
    assert np.sqrt((error[soft[..., 0]]**2).mean()) < 0.06
    assert np.abs(error.mean(axis=(0, 1))).max() < 0.003


def test_sheer_picture_is_the_composite_too():
    """Black cloth: F = 0, so the picture is (1 - opacity) B."""
    cloth = [_pane(-5, 0, -5, 5, 2.0 + 0.5 * k, Sheer(
        color=(0.0,) * 3, opacity=0.3)) for k in range(2)]
    shot = Shot(cloth, [_wall()], CAMERA, FOV)
    alpha = render_alpha(shot, WIDTH, HEIGHT, 64)
    picture = render_color(shot, WIDTH, HEIGHT, 64)
    for half, share in ((np.s_[:, :16], 0.49), (np.s_[:, 16:], 1.0)):
        assert np.allclose(1 - alpha[half].mean(), share, atol=0.01)
        assert np.allclose(picture[half].mean(axis=(0, 1)),
                           share * np.array(BACK), atol=0.01)


def test_light_falls_through_sheer_cloth():
    """What lies behind cloth of opacity 0.5 is half as bright."""
    light = np.diag([0.3, -0.3, -1.0, 1.0])
    light[2, 3] = 2.0
    floor = Primitive('box', scaled((9, 9, 0.5), (0, 0, -0.5)),
                      Material(color=(0.6,) * 3), 2, 1)
    room = [floor, Primitive('rectangle', light, Material(
        color=(0.0,) * 3, emission=(20.0,) * 3), 35, 1)]
    cloth = Primitive('rectangle', scaled((8, 8, 1), (0, 0, 1.0)),
                      Sheer(color=(0.0,) * 3, opacity=0.5), 40, 1)
    # below the cloth, aimed at the floor
    camera = Camera.look_at((0.1, 0, 0.6), (0, 0, 0))
    bright, dim = (render_color(Shot(parts, room, camera, 0.3), 8, 6, 256)
                   .mean() for parts in ([], [cloth]))
    assert np.isclose(dim / bright, 0.5, rtol=0.05)


def test_same_seed_same_alpha():
    parts = [_ball((0, 2.0, 0), 0.5, Sheer(opacity=0.4))]
    shot = Shot(parts, [], CAMERA, FOV, 0.05, 3.0)
    one, two, other = (render_alpha(shot, WIDTH, HEIGHT, 16, seed)
                       for seed in (3, 3, 4))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_shared_surfaces_keep_their_places():
    """Renderers that share surfaces still know which is which."""
    left = _pane(-2, 0, -2, 2, 2.0, Material())
    right = _pane(0, 2, -2, 2, 2.0, Material())
    left.semantic, right.semantic = 3, 7
    shapes = {}
    for parts in ([left, right], [right, left]):
        room = Room('living', (1.0, 1.0, 1.0), parts)
        seen = LensRenderer(room, shapes).cast_geometry(CAMERA, 8, 6)
        assert (seen['semantic'][:, :4] == 3).all()
        assert (seen['semantic'][:, 4:] == 7).all()
    assert len(shapes) == 2


def test_developing_removes_noise_and_sparks_but_no_thin_lines():
    rng = np.random.default_rng(0)
    truth = np.full((48, 64, 3), 0.2, np.float32)
    truth[:, 32:] = (0.1, 0.3, 0.5)
    truth[20, :] = 0.7
    clean = develop(truth).astype(float)
    noisy = truth * (1 + 0.12 * rng.standard_normal((48, 64, 1)))
    sparks = np.zeros((48, 64), bool)
    sparks[rng.integers(0, 48, 20), rng.integers(0, 64, 20)] = True
    sparks[19:22] = False
    noisy[sparks] = 9.0
    shown = develop(noisy.astype(np.float32)).astype(float)
    # noise shifts the percentile that sets the exposure by a few per cent
    shift = np.median(clean / shown)
    assert 0.95 < shift < 1.1
    shown *= shift
    assert np.abs(shown - clean).mean() < 5
    # neither sparks nor the exposure that they would set
    assert np.abs(shown - clean)[sparks].mean() < 12
    assert shown[20].mean() > shown[[18, 22]].mean() + 40


def test_missing_mitsuba_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mitsuba', None)
    with pytest.raises(ImportError, match='pip install mitsuba'):
        _alpha([])
