import cv2
import numpy as np
import pytest
from miniworld.patterns import (
    build_patterns,
    pattern_sheet,
)
from miniworld.patterns.drawing import draw_pattern


def test_an_interrupted_set_is_completed_alike(tmp_path):
    assert build_patterns(str(tmp_path), 5, seed=2, width=40, height=32) == 5
    before = [path.read_bytes() for path in sorted(tmp_path.glob('*.jpg'))]
    (tmp_path / '000003.jpg').unlink()
    assert build_patterns(str(tmp_path), 5, seed=2, width=40, height=32) == 1
    assert [path.read_bytes() for path
            in sorted(tmp_path.glob('*.jpg'))] == before
    assert build_patterns(str(tmp_path), 5, seed=2, width=40, height=32) == 0
    picture = cv2.imread(str(tmp_path / '000001.jpg'))[..., ::-1]
    drawn = draw_pattern(np.random.default_rng([2, 1]), 32, 40)
    assert np.abs(picture.astype(int) - drawn).mean() < 5
    with pytest.raises(ValueError, match='seed must be 2'):
        build_patterns(str(tmp_path), 5, width=40, height=32)


def test_the_sheet_shows_them(tmp_path):
    with pytest.raises(FileNotFoundError, match='finish the data set'):
        pattern_sheet(str(tmp_path), str(tmp_path / 'sheet.png'))
    build_patterns(str(tmp_path), 7, width=40, height=32)
    pattern_sheet(str(tmp_path), str(tmp_path / 'sheet.png'))
    assert cv2.imread(str(tmp_path / 'sheet.png')).shape == (64, 240, 3)
