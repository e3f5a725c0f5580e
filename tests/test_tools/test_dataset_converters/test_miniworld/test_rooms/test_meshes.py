import numpy as np
from miniworld.rooms.meshes import curtain_mesh, strip_faces, unit
from miniworld.rooms.primitives import Item, Material


def test_vectors_get_unit_length_and_zero_stays():
    vectors = np.array([[3.0, 0, 4], [0, 0, 0], [0, -2, 0]])
    assert np.allclose(unit(vectors), [(0.6, 0, 0.8), (0, 0, 0), (0, -1, 0)])


def test_faces_of_grids_by_hand():
    assert strip_faces(2, 2).tolist() == [[0, 1, 3], [0, 3, 2]]
    assert strip_faces(2, 3).tolist() == [[0, 1, 4], [1, 2, 5], [0, 4, 3],
                                          [1, 5, 4]]
    assert strip_faces(2, 2, count=2).tolist() == [
        [0, 1, 3], [0, 3, 2], [4, 5, 7], [4, 7, 6]]
    # the last column is joined to the first
    assert strip_faces(2, 3, closed=True).tolist() == [
        [0, 1, 4], [1, 2, 5], [2, 0, 3], [0, 4, 3], [1, 5, 4], [2, 3, 5]]


def test_curtains_have_their_size_and_normals():
    width, folds = 0.4, 4
    mesh = curtain_mesh(width, 2.0, folds)
    assert np.allclose(mesh.vertices.min(axis=0), (-0.2, -0.03, 0))
    assert np.allclose(mesh.vertices.max(axis=0), (0.2, 0.03, 2))
    # perpendicular to the direction of the wave, by central differences
    row = mesh.vertices[:8 * folds + 1]
    normal = mesh.normals[1:8 * folds]
    along = unit(row[2:] - row[:-2])
    assert np.abs((along * normal).sum(axis=1)).max() < 0.1
    assert (normal[:, 1] > 0).all() and np.allclose(normal[:, 2], 0)


def test_rounded_meshes_are_closed_and_point_outwards():
    item = Item('thing', 'box')
    item.padding((-1, -1, -1), (1, 1, 1), Material())
    item.padding((-1, -1, -1), (1, 1, 1), Material(), soft=True)
    item.rod((0, 0, -1), (0, 0, 1), 1, Material())
    for part in item.primitives:
        corners = part.mesh.vertices[part.mesh.faces]
        across = np.cross(corners[:, 1] - corners[:, 0],
                          corners[:, 2] - corners[:, 0])
        # the divergence theorem: a closed surface has its volume inside
        volume = (across * corners[:, 0]).sum() / 6
        assert 0.5 < volume / np.prod(np.ptp(part.mesh.vertices, axis=0)) < 1
        # up to a hair at the seam
        assert np.allclose(across.sum(axis=0), 0, atol=1e-2)
        middle = part.mesh.normals[part.mesh.faces].mean(axis=1)
        large = np.linalg.norm(across, axis=1) > 1e-6
        assert ((across * middle).sum(axis=1)[large] > 0).all()
