import pytest
import torch

from genpercept_mm.models.utils.latent_mask import latent_mask


@pytest.mark.parametrize('rows, columns', [(4, 6), (5, 7)])
def test_a_cell_is_valid_if_all_its_pixels_are(rows, columns):
    """With and without the cells that the edges cut."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(2, 1, 35, 50, generator=generator) > .02
    found = latent_mask(mask, 8, (rows, columns))
    assert found.shape == (2, 1, rows, columns)
    assert 0 < found.sum() < found.numel()
    for n in range(2):
        for row in range(rows):
            for column in range(columns):
                cell = mask[n, 0, 8 * row:8 * row + 8,
                            8 * column:8 * column + 8]
                assert found[n, 0, row, column] == cell.all()
