"""Folders of weights are recognized by what they contain."""
import json
import shutil

import pytest
from families import Family
from weights import UNET_FILE

import genpercept_mm
from genpercept_mm.converters.recognition import convert_any, recognize

PRIOR = f'{genpercept_mm.__path__[0]}/weights/mini'


@pytest.mark.parametrize('name, channels, is_lotus, family', [
    ('lotus-normal-d-v1-1', 4, True, 'lotus'),
    ('lotus-depth-g-v1-0', 8, True, 'lotus'),
    ('stable-diffusion-e2e-ft-depth', 8, False, 'e2e-ft'),
    # zero-SNR schedules are Marigold's
    ('marigold-depth-v1-1', 8, None, 'marigold')])
def test_families(tmp_path, name, channels, is_lotus, family):
    folder = Family(tmp_path / name, channels, bool(is_lotus)).folder
    if is_lotus is None:
        path = f'{folder}/scheduler/scheduler_config.json'
        with open(path) as file:
            scheduler = json.load(file)
        scheduler['rescale_betas_zero_snr'] = True
        with open(path, 'w') as file:
            json.dump(scheduler, file)
    assert recognize(folder) == family


def test_other_folders_are_those_of_genpercept(tmp_path):
    shutil.copytree(PRIOR, tmp_path / 'release')
    folder = tmp_path / 'release'
    (folder / 'unet').rename(folder / 'unet_normal_v2')
    assert recognize(str(folder)) == 'genpercept'
    conversion = convert_any(str(folder))
    assert conversion.task == 'normal'
    assert conversion.config()['test_pipeline'][1] == dict(
        type='genpercept_mm.DenseResize', long_edge=768)


def test_what_is_not_a_family_or_a_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match='family must be one of'):
        convert_any(str(tmp_path), 'zoe')
    with pytest.raises(FileNotFoundError, match='none is not a folder'):
        convert_any(str(tmp_path / 'none'))


def test_a_task_that_contradicts_the_folder_is_refused(tmp_path):
    folder = Family(tmp_path / 'e2e-ft', 8, False).folder
    index = tmp_path / 'e2e-ft' / 'model_index.json'
    index.write_text(json.dumps(dict(
        json.loads(index.read_text()), prediction_type='depth')))
    with pytest.raises(ValueError, match='predicts depth, not normal'):
        convert_any(folder, 'e2e-ft', 'normal')


@pytest.mark.parametrize('task, message', [
    ('normal', 'predicts depth by its name, not normal'),
    ('disparity', 'predicts depth by its name, not disparity'),
    ('normals', "task must be one of .*got 'normals'")])
def test_a_task_of_genpercept_that_is_not_that_of_the_folder(
        tmp_path, task, message):
    (tmp_path / 'unet_depth_v2').mkdir()
    (tmp_path / 'unet_depth_v2' / UNET_FILE).touch()
    with pytest.raises(ValueError, match=message):
        convert_any(str(tmp_path / 'unet_depth_v2'), task=task)
