import cv2
import numpy as np
import pytest
from miniworld.persons.canvas import (
    SAMPLES,
    Camera,
    Canvas,
    Stripes,
)

WIDTH, HEIGHT, FOCAL = 48, 36, 60.0
RED = (200, 40, 20)
# its frame is the world's: right is x, down is -z, forward is y
LEVEL = Camera.look_at((0, 0, 1), (0, 1, 1), 0, FOCAL, WIDTH, HEIGHT)
TILTED = Camera.look_at((0.3, -0.5, 1.7), (0.1, 2.5, 0.9), 7, FOCAL, WIDTH,
                        HEIGHT)


def _canvas(camera=LEVEL, light=(0, -1, 0), ambient=0.4):
    return Canvas(camera, np.full((HEIGHT, WIDTH, 3), 90, np.uint8), light,
                  ambient)


def _rays(camera):
    """Directions in the world of all samples, of depth 1; (S H, S W, 3)."""
    v, u = np.mgrid[:SAMPLES * HEIGHT, :SAMPLES * WIDTH]
    local = np.stack([((u + 0.5) / SAMPLES - WIDTH / 2) / FOCAL,
                      ((v + 0.5) / SAMPLES - HEIGHT / 2) / FOCAL,
                      np.ones(u.shape)], axis=-1)
    return local @ camera.rotation


def _march(camera, inside, far=3.5, step=0.004):
    """Depth at which rays enter a solid, by walking; inf if they do not."""
    rays = _rays(camera)
    depth = np.full(rays.shape[:2], np.inf)
    for t in np.arange(0.3, far, step):
        reached = inside(camera.position + t * rays) & np.isinf(depth)
        depth[reached] = t
    return depth


def _assert_same_depth(canvas, expected, tolerance=0.01):
    """Depths agree; at the very outline a ray may just miss."""
    both = np.isfinite(canvas.depth) & np.isfinite(expected)
    assert both.sum() > 60
    error = np.abs(canvas.depth[both] - expected[both])
    assert np.mean(error < tolerance) > 0.97
    assert (np.isfinite(canvas.depth) != np.isfinite(expected)).sum() < (
        0.04 * both.sum() + 4)


def test_projection_is_that_of_opencv():
    points = np.random.default_rng(0).uniform((-1, 1.5, 0), (1, 5, 2), (9, 3))
    turn = cv2.Rodrigues(TILTED.rotation)[0]
    shift = -TILTED.rotation @ TILTED.position
    matrix = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2],
                       [0, 0, 1]])
    expected, _ = cv2.projectPoints(points, turn, shift, matrix, None)
    places, depths = TILTED.project(points)
    assert np.allclose(places, expected[:, 0])
    assert np.allclose(depths, points @ TILTED.rotation[2] + shift[2])


def test_camera_by_hand():
    assert np.allclose(LEVEL.rotation, [(1, 0, 0), (0, 0, -1), (0, 1, 0)])
    # 2 m ahead, 0.5 m to the right, 0.25 m up
    place, depth = LEVEL.project(np.array([0.5, 2, 1.25]))
    assert np.allclose(place, (24 + 15, 18 - 7.5)) and depth == 2
    # clockwise roll of the camera turns the picture counter-clockwise
    rolled = Camera.look_at((0, 0, 1), (0, 1, 1), 90, FOCAL, WIDTH, HEIGHT)
    place, _ = rolled.project(np.array([0.5, 2, 1]))
    assert np.allclose(place, (24, 18 - 15))


def test_ball_is_a_disc_of_known_size():
    canvas = _canvas()
    canvas.ball(np.array([0, 2, 1]), 0.4, RED, 5)
    # lines of sight touch the ball at asin(r / d)
    radius = FOCAL * np.tan(np.arcsin(0.4 / 2)) * SAMPLES
    assert np.isclose((canvas.label == 5).sum(), np.pi * radius**2, rtol=0.02)
    assert np.isclose(canvas.depth.min(), 1.6, atol=1e-3)
    assert (np.isfinite(canvas.depth) == (canvas.label == 5)).all()


@pytest.mark.parametrize('camera', [LEVEL, TILTED])
def test_ellipsoid_is_where_rays_enter_it(camera):
    center, radii = np.array([0.1, 2.2, 0.8]), np.array([0.3, 0.12, 0.4])
    axes = cv2.Rodrigues(np.array([0.4, -0.7, 0.5]))[0]
    canvas = _canvas(camera)
    canvas.ellipsoid(center, axes, radii, RED)
    _assert_same_depth(canvas, _march(camera, lambda p: (
        (((p - center) @ axes / radii)**2).sum(axis=-1) < 1)))


@pytest.mark.parametrize('start, end, radii', [
    ((-0.3, 2, 0.8), (0.4, 2.3, 1.2), (0.2, 0.08)),
    ((-0.3, 2, 0.8), (0.4, 2.3, 1.2), (0.12, 0.12)),
    ((0, 1.4, 1.0), (0.1, 2.6, 1.1), (0.1, 0.2)),  # away from the camera
    ((0.05, 2.5, 0.95), (0, 1.5, 1.0), (0.16, 0.1))])  # towards it
def test_cone_and_its_balls_are_all_balls_between(start, end, radii):
    start, end = np.array(start), np.array(end)
    canvas, chain = _canvas(TILTED), _canvas(TILTED)
    canvas.cone(start, end, *radii, RED)
    assert np.isfinite(canvas.depth).any()
    for k, point in enumerate((start, end)):
        canvas.ball(point, radii[k], RED)
    for share in np.linspace(0, 1, 300):
        chain.ball((1 - share) * start + share * end,
                   (1 - share) * radii[0] + share * radii[1], RED)
    _assert_same_depth(canvas, chain.depth, 1e-3)


def test_ball_inside_another_has_no_cone():
    canvas = _canvas()
    canvas.cone(np.array([0, 2, 1]), np.array([0, 2.05, 1]), 0.3, 0.1, RED)
    assert np.isinf(canvas.depth).all()


def test_quad_is_a_plane_within_its_corners():
    corners = np.array([(-0.5, 2, 0.6), (0.5, 3, 0.6), (0.5, 3, 1.4),
                        (-0.5, 2, 1.4)])
    canvas = _canvas()
    canvas.quad(corners, RED, 3)
    # on the plane y = x + 2.5, a ray (x, 1, z) has depth 2.5 / (1 - x)
    expected = 2.5 / (1 - _rays(LEVEL)[..., 0])
    hit = canvas.label == 3
    assert np.allclose(canvas.depth[hit], expected[hit], rtol=1e-5)
    # shoelace formula
    (x, y) = LEVEL.project(corners)[0].T
    area = abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    assert np.isclose(hit.sum(), area * SAMPLES**2, rtol=0.08)


def test_order_of_drawing_does_not_matter():
    def draw(order):
        canvas = _canvas(TILTED)
        parts = [
            lambda: canvas.ball(np.array([0, 2, 1.0]), 0.3, RED, 1),
            lambda: canvas.cone(np.array([-0.5, 2, 1.0]),
                                np.array([0.5, 2, 1.0]), 0.2, 0.1, RED, 2),
            lambda: canvas.quad(np.array([(-0.5, 1.9, 0.5), (0.5, 1.9, 0.5),
                                          (0.5, 2.1, 1.2),
                                          (-0.5, 2.1, 1.2)]), RED, 3)]
        for k in order:
            parts[k]()
        return canvas
    one, other = draw((0, 1, 2)), draw((2, 1, 0))
    assert np.array_equal(one.label, other.label)
    assert set(np.unique(one.label)) == {0, 1, 2, 3}
    assert np.array_equal(one.picture(), other.picture())


@pytest.mark.parametrize('light, x, y', [
    ((-1, 0, 0), 17, 18), ((1, 0, 0), 30, 18), ((0, 0, 1), 24, 11),
    ((0, -1, 0), 24, 18)])
def test_the_side_towards_the_light_is_brightest(light, x, y):
    for draw in ('ball', 'cone'):
        canvas = _canvas(light=light)
        if draw == 'ball':
            canvas.ball(np.array([0, 2, 1]), 0.28, (200, 200, 200))
        elif light[2]:
            # seen along its axis no side of a cone is lit differently
            canvas.cone(np.array([-0.6, 2, 1]), np.array([0.6, 2, 1]), 0.28,
                        0.28, (200, 200, 200))
        else:
            canvas.cone(np.array([0, 2, 0.4]), np.array([0, 2, 1.6]), 0.28,
                        0.28, (200, 200, 200))
        picture = canvas.picture()[..., 0].astype(int)
        seen = canvas.depth[::2, ::2] < 9
        assert picture[y, x] >= picture[seen].max() - 25
        assert picture[y, x] > picture[36 - 1 - y, 48 - 1 - x] + 20 or (
            light[1] == -1)


def test_brightness_of_a_wall_by_hand():
    wall = np.array([(-9, 3, -9), (9, 3, -9), (9, 3, 9), (-9, 3, 9)])
    for light, share in (((0, -1, 0), 1), ((1, 0, 0), 0.7), ((0, 1, 0), 0.4)):
        canvas = _canvas(light=light, ambient=0.4)
        canvas.quad(wall, (100, 200, 50))
        assert np.allclose(canvas.picture(), np.array([100, 200, 50]) * share,
                           atol=1)


def test_stripes_have_their_period():
    canvas = _canvas()
    wall = np.array([(-9, 3, -9), (9, 3, -9), (9, 3, 9), (-9, 3, 9)])
    canvas.quad(wall, (200, 200, 200), stripes=Stripes(
        (0, 0, 0), np.array([0.0, 1, 0]), 0.25, 0.0))
    # 0.25 m are 5 pixels at 3 m, and the middle is between rows 17 and 18
    column = canvas.picture()[:, 10, 0] > 100
    expected = [(row - 18) // 5 % 2 == 0 for row in range(HEIGHT)]
    assert column.tolist() == expected


def test_what_is_behind_or_outside_is_not_drawn():
    canvas = _canvas()
    canvas.ball(np.array([0, -2, 1]), 0.3, RED, 1)
    canvas.ball(np.array([5, 2, 1]), 0.3, RED, 1)
    canvas.ball(np.array([0, 0.3, 1]), 0.2, RED, 1)
    canvas.cone(np.array([0, -2, 1]), np.array([0, 2, 1]), 0.1, 0.1, RED, 1)
    canvas.quad(np.array([(-1, -1, 0), (1, 3, 0), (1, 3, 2)]), RED, 1)
    assert not canvas.label.any()
    assert (canvas.picture() == 90).all()
