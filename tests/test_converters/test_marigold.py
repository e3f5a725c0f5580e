import json

import pytest
import torch
from weights import ODD, build_parts

from genpercept_mm.converters.marigold import (
    convert_folder,
    find_num_steps,
    find_task,
    is_e2e_ft,
    marigold_config,
    marigold_to_mm,
)
from genpercept_mm.registry import MODELS

# The files of marigold-depth-v1-0 and v1-1
V1_0 = dict(
    _class_name='DDIMScheduler', beta_start=0.00085, beta_end=0.012,
    beta_schedule='scaled_linear', clip_sample=False, num_train_timesteps=1000,
    prediction_type='v_prediction', set_alpha_to_one=False,
    skip_prk_steps=True, steps_offset=1, trained_betas=None)
V1_1 = dict(
    V1_0, rescale_betas_zero_snr=True, timestep_spacing='trailing',
    thresholding=False)


def index(kind='Depth', **fields):
    return dict(_class_name=f'Marigold{kind}Pipeline', **fields)


def parts(arch='mini', in_channels=8):
    unet, vae, prompt = build_parts(arch, in_channels=in_channels)
    return unet.state_dict(), vae.state_dict(), prompt, unet.config, vae.config


@pytest.mark.parametrize('found, task, expected', [
    (index(prediction_type='depth'), None, 'depth'),
    (index(prediction_type='disparity'), None, 'disparity'),
    (index(prediction_type='depth'), 'depth', 'depth'),
    (index(), 'disparity', 'disparity'),
    (index('Normals', prediction_type='normals', use_full_z_range=True),
     None, 'normal'),
    (index('Normals'), None, 'normal'),
    # the class of the original code
    (index('', scale_invariant=True, shift_invariant=True), 'depth',
     'depth')])
def test_the_folder_says_what_it_predicts(found, task, expected):
    assert find_task(found, task) == expected


@pytest.mark.parametrize('found, task, match', [
    (index('Intrinsics'), None, 'holds a MarigoldIntrinsicsPipeline'),
    ({}, None, 'holds a None'),
    (index(), None, 'give --task'),
    (index(''), None, 'give --task'),
    (index(prediction_type='depth'), 'disparity', 'not for disparity'),
    (index('Normals'), 'depth', 'not for depth'),
    (index(prediction_type='normals'), None, "predicts 'normals'"),
    (index(prediction_type='depth', shift_invariant=False), None,
     'shift_invariant=false'),
    (index('Normals', use_full_z_range=False), None,
     'use_full_z_range=false')])
def test_other_folders_are_refused(found, task, match):
    with pytest.raises(ValueError, match=match):
        find_task(found, task)


def test_steps():
    assert find_num_steps(dict(default_denoising_steps=4)) == 4
    assert find_num_steps(dict(default_denoising_steps=4), 10) == 10
    with pytest.raises(ValueError, match='--steps'):
        find_num_steps({})


def test_names_shapes_and_types():
    unet, vae, prompt, *configs = parts()
    state, arch = marigold_to_mm(
        {k: v.half() for k, v in unet.items()}, vae, prompt, *configs)
    assert arch == 'mini'
    assert {value.dtype for value in state.values()} == {torch.float32}
    assert state['backbone.unet.conv_in.weight'].shape == (32, 8, 3, 3)
    assert torch.equal(state['backbone.unet.conv_in.weight'],
                       unet['conv_in.weight'].half().float())
    # without config.json the shapes tell
    assert marigold_to_mm(unet, vae, prompt)[1] == 'mini'
    model = MODELS.build(marigold_config(state, arch, 'depth', V1_0, 10))
    assert set(model.state_dict()) == set(state)


def test_a_nameless_architecture_has_four_channels_in_the_config():
    state, arch = marigold_to_mm(*parts(ODD))
    assert arch['unet']['block_out_channels'] == [16, 24, 32, 40]
    assert 'in_channels' not in arch['unet']
    model = MODELS.build(marigold_config(state, arch, 'normal', V1_1, 4))
    model.load_state_dict(state)
    assert model.backbone.in_channels == 8


def test_a_unet_without_noise_is_not_marigold():
    unet, vae, prompt, *configs = parts(in_channels=4)
    with pytest.raises(ValueError, match=r'conv_in.weight is \(32, 4, 3, 3\)'
                       r', must be \(32, 8, 3, 3\)'):
        marigold_to_mm(unet, vae, prompt, *configs)


def test_the_scheduler_becomes_the_protocol():
    state, arch = marigold_to_mm(*parts())
    model = marigold_config(state, arch, 'depth', V1_0, 10)
    assert model['protocol'] == dict(
        type='marigold', decode='sample', schedule=dict(
            beta_start=0.00085, beta_end=0.012, num_train_timesteps=1000,
            timestep_spacing='leading', steps_offset=1,
            set_alpha_to_one=False, rescale_betas_zero_snr=False))
    # as diffusers' image processor
    assert model['test_cfg'] == dict(
        num_steps=10, pad_divisor=8, resize='bilinear')
    assert model['backbone']['in_channels'] == 8
    assert model['decode_head']['codec']['space'] == 'depth'
    model = marigold_config(state, arch, 'disparity', V1_1, 4)
    assert model['protocol']['schedule']['timestep_spacing'] == 'trailing'
    assert model['protocol']['schedule']['rescale_betas_zero_snr'] is True
    built = MODELS.build(model)
    assert built.protocol.schedule.timesteps(4) == [999, 749, 499, 249]
    assert built.protocol.schedule.alpha(999) == 0
    assert built.codec.space == 'disparity'


@pytest.mark.parametrize('fields, steps, match', [
    (dict(_class_name='LCMScheduler'), 4, 'with one step, got 4'),
    (dict(_class_name='PNDMScheduler'), 1, 'PNDMScheduler'),
    (dict(prediction_type='epsilon'), 1, "got 'epsilon'"),
    (dict(beta_schedule='linear'), 1, "got 'linear'"),
    (dict(clip_sample=True), 1, 'clip_sample'),
    ({}, 0, '1..1000'), ({}, 1001, '1..1000')])
def test_other_schedulers_are_refused(fields, steps, match):
    with pytest.raises(ValueError, match=match):
        marigold_config({}, 'mini', 'depth', {**V1_0, **fields}, steps)


def write_index(folder, scheduler, steps):
    """A folder without weights: those of E2E-FT are refused before."""
    (folder / 'scheduler').mkdir(parents=True)
    (folder / 'model_index.json').write_text(json.dumps(index(
        prediction_type='depth', default_denoising_steps=steps)))
    (folder / 'scheduler/scheduler_config.json').write_text(
        json.dumps(scheduler))
    return str(folder)


TRAILING = dict(V1_0, timestep_spacing='trailing')


@pytest.mark.parametrize('name', [
    'marigold', 'marigold-e2e-ft-depth', 'Marigold_E2E_FT_depth',
    'models--owner--marigold-e2e-ft-depth/snapshots/0123'])
@pytest.mark.parametrize('scheduler, steps, by_schedule', [
    (TRAILING, 1, True), (dict(TRAILING, rescale_betas_zero_snr=False), 1,
                          True),
    # Marigold's own, of which v1-1 can do one step
    (V1_0, 10, False), (V1_0, 1, False), (V1_1, 4, False), (V1_1, 1, False),
    (TRAILING, 4, False)])
def test_weights_of_e2e_ft_are_refused(
        tmp_path, name, scheduler, steps, by_schedule):
    """By their schedule or by their name; trained from zeros, their maps
    would depend on the noise."""
    src = write_index(tmp_path / name, scheduler, steps)
    if by_schedule or 'e2e' in name.lower():
        with pytest.raises(ValueError, match=f'{src} holds a model of E2E-FT.*'
                           'weights2mm.py'):
            convert_folder(src)
        assert is_e2e_ft(src + '/', scheduler, steps)
        return
    assert not is_e2e_ft(src, scheduler, steps)
    with pytest.raises(FileNotFoundError, match='unet'):
        convert_folder(src)


def test_the_number_of_steps_that_is_asked_for_counts(tmp_path):
    """A schedule of E2E-FT, run in four steps, is one of Marigold."""
    src = write_index(tmp_path / 'x', TRAILING, 4)
    with pytest.raises(ValueError, match='E2E-FT'):
        convert_folder(src, num_steps=1)


def test_a_folder_must_be_complete(tmp_path):
    """Whole folders are converted with the script marigold2mm.py."""
    with pytest.raises(FileNotFoundError, match='nowhere is not a folder'):
        convert_folder(str(tmp_path / 'nowhere'))
    with pytest.raises(FileNotFoundError, match='model_index.json does not'):
        convert_folder(str(tmp_path))
