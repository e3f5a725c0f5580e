"""Whole folders are converted with the scripts in tools/."""
import os

import pytest

from genpercept_mm.converters.genpercept_folder import (
    FOLDER_TASKS,
    GenPerceptFolder,
    check_empty,
    task_of,
)


@pytest.mark.parametrize('name, task', [
    ('unet_depth_v2', 'depth'), ('unet_normal', 'normal'),
    ('unet_disparity_dpt_head_v2', 'disparity-dpt'), ('unet', None),
    ('unet_odd_v2', None), ('vae_depth', None)])
def test_the_task_is_in_the_name(name, task):
    assert task_of(name) == task
    assert task is None or task in FOLDER_TASKS


def weights(root, *folders):
    for folder in folders:
        stem = 'diffusion_pytorch_model' if 'net' in folder or (
            folder == 'vae') else 'model'
        os.makedirs(root / folder)
        (root / folder / f'{stem}.safetensors').touch()


def test_parts_are_found_beside_the_unet(tmp_path):
    weights(tmp_path, 'unet_depth_v2', 'unet_disparity_dpt_head_v2', 'vae',
            'dpt_head_identity')
    root = str(tmp_path)
    for src, kwargs in ((f'{root}/unet_depth_v2', {}),
                        (root, dict(task='depth')),
                        (root, dict(unet='unet_depth_v2'))):
        folder = GenPerceptFolder(src, **kwargs)
        assert folder.task == 'depth'
        assert folder.parts == dict(
            unet=f'{root}/unet_depth_v2', vae=f'{root}/vae')
    folder = GenPerceptFolder(root, 'disparity-dpt')
    assert folder.task == 'disparity'
    assert folder.parts['dpt_head'] == f'{root}/dpt_head_identity'
    with pytest.raises(ValueError, match='choose one with --unet'):
        GenPerceptFolder(root)
    with pytest.raises(FileNotFoundError, match='takes --text-encoder'):
        folder.read_prompt()


def test_a_training_run_brings_its_decoder(tmp_path):
    weights(tmp_path / 'run', 'unet', 'vae_decoder', 'vae_post_quant_conv')
    weights(tmp_path / 'base', 'unet', 'vae')
    run, base = str(tmp_path / 'run'), str(tmp_path / 'base')
    folder = GenPerceptFolder(run, 'dis', base=base)
    assert folder.parts == dict(
        unet=f'{run}/unet', vae=f'{base}/vae', decoder=f'{run}/vae_decoder',
        post_quant_conv=f'{run}/vae_post_quant_conv')


def test_only_an_empty_folder_is_written_to(tmp_path):
    check_empty(tmp_path / 'new')
    check_empty(tmp_path)
    (tmp_path / 'file').touch()
    for path in (tmp_path, tmp_path / 'file'):
        with pytest.raises(ValueError, match='is not empty'):
            check_empty(path)
