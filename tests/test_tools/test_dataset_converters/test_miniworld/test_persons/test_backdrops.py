import numpy as np
import pytest
from miniworld.persons.backdrops import (
    KINDS,
    cast_shadows,
    make_backdrop,
)
from miniworld.persons.canvas import Camera

WIDTH, HEIGHT, FOCAL = 96, 72, 80.0
LEVEL = Camera.look_at((0, 0, 1.5), (0, 1, 1.5), 0, FOCAL, WIDTH, HEIGHT)


@pytest.mark.parametrize('kind', KINDS)
def test_backdrops_are_pictures(kind):
    means = []
    for seed in range(6):
        picture = make_backdrop(np.random.default_rng(seed), LEVEL, 5.0, kind)
        assert picture.shape == (HEIGHT, WIDTH, 3)
        assert picture.dtype == np.uint8 and picture.std() > 3
        means.append(picture.mean(axis=(0, 1)))
    assert np.std(means, axis=0).min() > 10


def test_floor_ends_at_the_wall():
    # 1.5 m below the eye, 5 m away
    row = round(HEIGHT / 2 + FOCAL * 1.5 / 5)
    for seed in range(8):
        picture = make_backdrop(np.random.default_rng(seed), LEVEL, 5.0,
                                'texture').astype(float).mean(axis=1)
        steps = np.abs(np.diff(picture, axis=0)).sum(axis=1)
        if steps.max() > 30:
            assert abs(steps.argmax() + 1 - row) <= 1
            break
    else:
        pytest.fail('no floor differs from its wall')


def test_equal_seeds_give_equal_backdrops():
    one, two = (make_backdrop(np.random.default_rng(3), LEVEL, 5.0)
                for _ in range(2))
    assert np.array_equal(one, two)


def test_shadow_is_where_the_thing_stands():
    picture = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    cast_shadows(picture, LEVEL, [(0.6, 4.0, 0.4)], 0.5)
    # 4 m away, 0.6 m to the right, on the floor
    x, y = WIDTH / 2 + FOCAL * 0.6 / 4, HEIGHT / 2 + FOCAL * 1.5 / 4
    rows, columns = np.nonzero(picture[..., 0] < 175)
    assert abs(rows.mean() - y) < 2 and abs(columns.mean() - x) < 2
    assert 100 <= picture.min() < 160
    # soft, but not everywhere
    assert (picture[:HEIGHT // 2] == 200).all()
    assert (picture[:, :WIDTH // 3] == 200).all()


def test_shadow_behind_the_camera_is_none():
    picture = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    cast_shadows(picture, LEVEL, [(0.0, -1.0, 0.4)])
    assert (picture == 200).all()
