"""Converted weights of Lotus predict what its own code predicts."""
import shutil

import numpy as np
import pytest
import torch
from families import CASES, TASKS, Family, close, picture, predict

from genpercept_mm.converters import lotus
from genpercept_mm.diffusion import gaussian_noise, image_generator


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp('lotus')
    return {kind: Family(root / f'lotus-depth-{kind}-v1-0', channels, True)
            for kind, channels in (('d', 4), ('g', 8))}


@pytest.mark.parametrize('size, edge', CASES)
@pytest.mark.parametrize('task, signs', TASKS)
def test_lotus_d(folders, tmp_path, size, edge, task, signs):
    family, image = folders['d'], picture(size)
    ours = predict(family.folder, task, image, edge, tmp_path)
    close(ours, family.lotus(image, edge, task) * signs)


@pytest.mark.parametrize('size, edge', CASES[:2])
def test_lotus_g_from_the_same_noise(folders, tmp_path, size, edge):
    family, image = folders['g'], picture(size)
    ours = predict(family.folder, 'depth', image, edge, tmp_path)
    height, width = (int(length * (edge / max(size))) // 8
                     for length in size)
    noise = gaussian_noise((1, 4, height, width), image_generator(
        0, 'image_000000'))
    close(ours, family.lotus(image, edge, 'depth', noise))
    other = torch.randn(noise.shape, generator=torch.Generator().manual_seed(
        9))
    assert np.abs(family.lotus(image, edge, 'depth', other) - ours
                  ).max() > .01


@pytest.mark.parametrize('name, task', [
    ('lotus-depth-g-v2-1-disparity', 'disparity'),
    ('lotus-normal-d-v1-1', 'normal'), ('lotus-depth-d-v1-0', 'depth')])
def test_names_say_the_task(name, task):
    assert lotus.find_task(f'/x/models--jingheya--{name}/snapshots/1') == task


def test_a_folder_that_does_not_say_its_task(folders, tmp_path):
    shutil.copytree(folders['d'].folder, tmp_path / 'x')
    with pytest.raises(ValueError, match='x does not say.*--task'):
        lotus.convert_folder(str(tmp_path / 'x'))


def test_weights_of_another_family_are_refused(tmp_path):
    other = Family(tmp_path / 'other', 8, False)
    with pytest.raises(ValueError, match='no task vector of Lotus'):
        lotus.convert_folder(other.folder, 'depth')


def test_the_fold_is_the_layer_it_replaces(folders):
    unet = folders['d'].unet
    with torch.no_grad():
        # sin and cos of (1, 0)
        expected = unet.class_embedding(torch.tensor(
            [[.8414710, 0, .5403023, 1]], dtype=torch.float64))[0].float()
    folded = lotus.fold_task_vector(unet.state_dict())
    assert not any('class_embedding' in key for key in folded)
    bias = unet.time_embedding.linear_2.bias.float()
    torch.testing.assert_close(
        folded['time_embedding.linear_2.bias'] - bias, expected,
        rtol=1e-4, atol=1e-6 * float(bias.abs().max()))


@pytest.mark.parametrize('path, task', [
    ('/normals/lotus-depth-d-v1-0', 'depth'),
    ('/x/lotus-depth-g-v2-1-disparity', 'disparity'),
    ('/hub/models--jingheya--lotus-normal-g-v1-1/snapshots/0a1b', 'normal'),
    ('/data/normal/weights/run7', None), ('/x/depth-and-normal', None)])
def test_only_the_folder_itself_says_the_task(path, task):
    if task is None:
        with pytest.raises(ValueError, match='does not say'):
            lotus.find_task(path)
    else:
        assert lotus.find_task(path) == task
