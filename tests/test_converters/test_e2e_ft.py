"""Converted weights of E2E-FT predict what its own code predicts."""
import shutil

import pytest
from families import ALPHA, CASES, TASKS, Family, close, picture, predict

from genpercept_mm.converters import e2e_ft


@pytest.fixture(scope='module')
def family(tmp_path_factory):
    root = tmp_path_factory.mktemp('e2e-ft')
    return Family(root / 'marigold-e2e-ft-depth', 8, False)


@pytest.mark.parametrize('size, edge', CASES)
@pytest.mark.parametrize('task, signs', TASKS)
def test_equals_its_own_code(family, tmp_path, size, edge, task, signs):
    image = picture(size)
    ours = predict(family.folder, task, image, edge, tmp_path)
    close(ours, family.e2e_ft(image, edge, task) * signs)


@pytest.mark.parametrize('index, name, task', [
    (dict(_class_name='MarigoldNormalsPipeline'), 'x', 'normal'),
    (dict(_class_name='MarigoldDepthPipeline'), 'x', 'depth'),
    (dict(_class_name='MarigoldPipeline', prediction_type='normals'), 'x',
     'normal'),
    (None, 'models--GonzaloMG--stable-diffusion-e2e-ft-normals', 'normal'),
    (None, 'marigold-e2e-ft-depth', 'depth'),
    # folders around say nothing
    (dict(_class_name='MarigoldNormalsPipeline'), '/u/depth-project/mine',
     'normal'),
    (dict(_class_name='MarigoldDepthPipeline'), '/u/e2e-ft-normals-run',
     'depth')])
def test_configs_and_names_say_the_task(index, name, task):
    assert e2e_ft.find_task(name, index) == task


def test_a_folder_that_does_not_say_its_task(family, tmp_path):
    shutil.copytree(family.folder, tmp_path / 'x')
    with pytest.raises(ValueError, match='x does not say.*--task'):
        e2e_ft.convert_folder(str(tmp_path / 'x'))


def test_weights_of_another_family_are_refused(tmp_path):
    other = Family(tmp_path / 'other', 4, True)
    with pytest.raises(ValueError, match='has 8 input channels, got 4'):
        e2e_ft.convert_folder(other.folder, 'depth')


def test_the_factor_is_that_of_the_schedule():
    assert abs(e2e_ft.clean_factor() - (1 - ALPHA)**.5) < 1e-7
    # as published for Stable Diffusion's schedule
    assert abs(e2e_ft.clean_factor() - .9976673) < 1e-6
