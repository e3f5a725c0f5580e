import numpy as np
import pytest
import torch

from genpercept_mm.utils.normal_axes import AXES, axes_name, convert_axes

# What a camera sees, in the frames' own words: a wall that faces it, a floor
# and a wall on the left. DSINE's normals point away from the camera.
SURFACES = {
    'facing wall': dict(
        genpercept=(0, 0, 1), opencv=(0, 0, -1), dsine=(0, 0, 1)),
    'floor': dict(genpercept=(0, 1, 0), opencv=(0, -1, 0), dsine=(0, 1, 0)),
    'left wall': dict(
        genpercept=(1, 0, 0), opencv=(1, 0, 0), dsine=(-1, 0, 0)),
}


@pytest.mark.parametrize('surface', SURFACES)
@pytest.mark.parametrize('source', AXES)
@pytest.mark.parametrize('target', AXES)
def test_known_surfaces(surface, source, target):
    normal = np.array(SURFACES[surface][source], np.float32)
    converted = convert_axes(normal, source, target)
    assert converted.tolist() == list(SURFACES[surface][target])
    assert converted.dtype == np.float32


def test_components_along_any_axis_of_arrays_and_tensors():
    normals = torch.arange(24.).reshape(2, 3, 4)
    converted = convert_axes(normals, 'genpercept', 'opencv', axis=1)
    assert torch.equal(converted[:, 0], normals[:, 0])
    assert torch.equal(converted[:, 1:], -normals[:, 1:])
    last = convert_axes(
        normals.numpy().transpose(0, 2, 1), 'genpercept', 'opencv')
    np.testing.assert_array_equal(last.transpose(0, 2, 1), converted)


def test_input_is_not_changed():
    normals = np.ones((2, 2, 3))
    convert_axes(normals, 'dsine', 'genpercept')
    assert (normals == 1).all()


def test_signs_instead_of_a_name():
    normals = np.array([0.6, 0., 0.8])
    assert convert_axes(normals, (1, 1, -1), 'genpercept').tolist() == [
        0.6, 0, -0.8]
    assert axes_name((1, -1, -1)) == "'opencv'"
    assert axes_name((1, 1, -1)) == '(1, 1, -1)'


@pytest.mark.parametrize('axes', ['nerf', (1, 1), (1, 0, 1)])
def test_unknown_frame_names_the_known_ones(axes):
    with pytest.raises(ValueError, match="'dsine', 'genpercept', 'opencv'"):
        convert_axes(np.zeros((4, 3)), axes, 'genpercept')


def test_wrong_axis():
    with pytest.raises(ValueError, match=r'3 components along axis -1.*'
                       r'\(3, 4, 5\); set axis'):
        convert_axes(np.zeros((3, 4, 5)), 'opencv', 'dsine')
