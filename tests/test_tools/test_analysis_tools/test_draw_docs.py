import draw_docs
import numpy as np
import pytest


@pytest.mark.parametrize('shape, inner', [
    ((48, 64), (96, 128)), ((96, 48), (96, 48)), ((30, 300), (13, 128))])
def test_pictures_keep_their_proportions(shape, inner):
    tile = draw_docs.fit(np.zeros((*shape, 3), np.uint8))
    assert tile.shape == (96, 128, 3)
    black = (tile == 0).all(-1)
    rows, columns = black.any(1).sum(), black.any(0).sum()
    assert (rows, columns) == inner and black.sum() == rows * columns


def test_tiles_have_gaps_between_them():
    one, two = np.zeros((4, 6, 3), np.uint8), np.full((4, 6, 3), 9, np.uint8)
    sheet = draw_docs.sheet([[one, two], [two, one]])
    gap = draw_docs.GAP
    assert sheet.shape == (8 + gap, 12 + gap, 3)
    assert (sheet[:4, :6] == 0).all() and (sheet[:4, 6 + gap:] == 9).all()
    assert (sheet[4:4 + gap] == 255).all()


def test_missing_demos_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match='make demo TASK=depth first'):
        draw_docs.draw_tasks()
