import cv2
import numpy as np
from demo.grid import GRID_ROWS, draw_grid


def test_pictures_below_each_other_from_all_folders(tmp_path):
    (tmp_path / 'a' / 'b').mkdir(parents=True)
    for index in range(11):
        folder = tmp_path / 'a' / ('b' if index % 2 else '')
        width = 8 if index == 8 else 5
        cv2.imwrite(str(folder / f'{index:02}.png'),
                    np.full((3, width, 3), 10 * index, np.uint8))
    path = str(tmp_path / 'grid.png')
    draw_grid(str(tmp_path / 'a'), path)
    grid = cv2.imread(path)
    assert grid.shape == (3 * GRID_ROWS, 8, 3)
    rows = grid[::3, 0, 0].tolist()
    # sorted by path: 00, 02, ..., 10, then those in b
    assert rows == [0, 40, 80, 10, 50, 90]
    assert (grid[:6, 5:] == 255).all()
    draw_grid(str(tmp_path / 'a' / 'b'), path)
    assert cv2.imread(path).shape == (3 * 5, 5, 3)
