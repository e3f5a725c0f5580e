import cv2
import numpy as np
import pytest
from miniworld.sheets import arrange, pick_evenly, read_tile, write_sheet


@pytest.mark.parametrize('length, count, expected', [
    (5, 9, [0, 1, 2, 3, 4]), (9, 3, [0, 4, 8]), (7, 1, [0]), (1, 4, [0]),
    (10, 4, [0, 3, 6, 9])])
def test_items_are_spread_evenly(length, count, expected):
    assert pick_evenly(range(length), count) == expected


def test_last_row_is_filled_up_with_black():
    tiles = [np.full((2, 3, 3), value) for value in (1, 2, 3)]
    sheet = arrange(tiles, 2)
    assert sheet.shape == (4, 6, 3)
    assert (sheet[:2, :3] == 1).all() and (sheet[:2, 3:] == 2).all()
    assert (sheet[2:, :3] == 3).all() and (sheet[2:, 3:] == 0).all()
    assert len(tiles) == 3


def test_sheet_and_tile_are_files(tmp_path):
    sheet = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    path = str(tmp_path / 'new' / 'sheet.png')
    write_sheet('draw', path, sheet)
    assert np.array_equal(cv2.imread(path), sheet)
    assert np.array_equal(read_tile('draw', path), sheet)


def test_files_that_cannot_be_written_or_read_are_named(tmp_path):
    with pytest.raises(ValueError, match='draw: path must be a '
                       'picture file, got .*sheet.txt'):
        write_sheet('draw', str(tmp_path / 'sheet.txt'), np.zeros((2, 2, 3)))
    with pytest.raises(FileNotFoundError, match='draw: .*a.jpg does not '
                       'exist; finish the data set first'):
        read_tile('draw', str(tmp_path / 'a.jpg'))
