import importlib.util
import json
import os
import os.path as osp
from argparse import Namespace

import cv2
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from genpercept_mm.models.utils.sd_archs import resolve_arch

TOOL = 'tools/analysis_tools/pretrain_mini.py'


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('pretrain_mini', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    """160 pictures of 48 x 64 in two levels of folders."""
    root = tmp_path_factory.mktemp('pictures')
    rng = np.random.default_rng(0)
    for index in range(160):
        folder = root / f'room_{index // 40}'
        folder.mkdir(exist_ok=True)
        coarse = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'{index:03}.jpg'),
                    cv2.resize(coarse, (64, 48)))
    return root


def options(pictures, work_dir, *more):
    return (TOOL, '--images', pictures, '--work-dir', work_dir, '--out',
            osp.join(work_dir, 'weights'), '--vae-iters', 4, '--unet-iters',
            6, '--vae-batch', 2, '--unet-batch', 4, '--device', 'cpu', *more)


@pytest.mark.nightly
@pytest.mark.slow
def test_an_interrupted_pretraining_ends_as_an_unbroken_one(
        pictures, tmp_path, run_python):
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    run_python(*options(pictures, whole))
    # stops in the second training, whose checkpoint is not written yet
    cut = tmp_path / 'cut.py'
    cut.write_text(f'''
import runpy, sys, torch
step, count = torch.optim.AdamW.step, [0]
def stop(self, *args, **kwargs):
    count[0] += 1
    if count[0] == 7:
        raise KeyboardInterrupt
    return step(self, *args, **kwargs)
torch.optim.AdamW.step = stop
sys.argv = {[TOOL, *map(str, options(pictures, broken)[1:])]}
runpy.run_path({TOOL!r}, run_name='__main__')
''')
    assert run_python(cut, check=False).returncode
    assert osp.isfile(broken / 'vae.pth')
    assert not osp.isdir(broken / 'weights' / 'vae')
    before = os.stat(broken / 'vae.pth').st_mtime_ns
    run_python(*options(pictures, broken))
    assert os.stat(broken / 'vae.pth').st_mtime_ns == before

    reports = []
    for folder in (whole, broken):
        with open(folder / 'weights' / 'training.json') as file:
            reports.append(json.load(file))
        assert cv2.imread(str(folder / 'samples.png')).shape == (
            5 * 48, 8 * 64, 3)
    assert reports[0]['pictures'] == 152
    assert reports[0]['held_back_pictures'] == 8
    for part in ('vae', 'unet'):
        assert reports[0][part]['log'] == reports[1][part]['log']
    assert (reports[0]['unet']['held_back_loss']
            == reports[1]['unet']['held_back_loss'])


@pytest.mark.slow
@pytest.mark.nightly
def test_the_result_is_a_source_of_weights(pictures, tmp_path, run_python):
    run_python(*options(pictures, tmp_path))
    script = f'''
import torch
from genpercept_mm.models import SDUNet
from diffusers import UNet2DConditionModel
folder = {str(tmp_path / 'weights')!r}
prompts = []
for prompt in ('', 'A high quality RGB image', 'F3@qV!k2*#Zp^n%1Lz'):
    model = SDUNet(arch='mini', pretrained=folder, prompt=prompt)
    model.init_weights()
    prompts.append(model.prompt_embeds)
unet = UNet2DConditionModel.from_pretrained(folder, subfolder='unet')
assert torch.equal(unet.conv_in.weight, model.unet.conv_in.weight)
print([tuple(prompt.shape) for prompt in prompts])
'''
    shapes = run_python('-c', script).stdout.splitlines()[-1]
    # start, one token a byte, end
    assert shapes == '[(1, 2, 32), (1, 22, 32), (1, 20, 32)]'


def test_bad_folders_are_named(tmp_path, pictures, run_python):
    done = run_python(*options(tmp_path, tmp_path / 'work'), check=False)
    assert done.returncode and f'{tmp_path}' in done.stderr
    assert 'no .jpg' in done.stderr


def test_standardized_latents_decode_as_before(tool):
    torch.manual_seed(0)
    vae = AutoencoderKL(**resolve_arch('mini')[1]).double().eval()
    images = torch.randint(0, 255, (8, 3, 32, 48), dtype=torch.uint8)
    args = Namespace(device='cpu')
    pixels = tool.to_float(images, 'cpu').double()
    tool.to_float = lambda images, device: images.double() / 127.5 - 1
    with torch.no_grad():
        before = vae.encode(pixels).latent_dist
        decoded = vae.decode(before.mean).sample
        tool.standardize(vae, images, args)
        after = vae.encode(pixels).latent_dist
        torch.testing.assert_close(vae.decode(after.mean).sample, decoded)
        latents = after.mean * vae.config.scaling_factor
    torch.testing.assert_close(
        latents.mean((0, 2, 3)), torch.zeros(4).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        latents.std((0, 2, 3)), torch.ones(4).double())
    # the posterior's width changes with its mean
    torch.testing.assert_close(
        after.std / before.std,
        (after.mean.std((0, 2, 3)) / before.mean.std((0, 2, 3))).view(
            1, -1, 1, 1).expand_as(after.std))


def test_augmented_pictures_stay_pictures(tool):
    images = torch.rand(32, 3, 96, 128) * 2 - 1
    cut = tool.augment(images, torch.Generator().manual_seed(0))
    assert cut.shape == (32, 3, 64, 80)
    assert cut.amin() >= -1 and cut.amax() <= 1
    again = tool.augment(images, torch.Generator().manual_seed(0))
    assert torch.equal(cut, again)


@pytest.mark.parametrize('shape', [(96, 128), (240, 320), (320, 240),
                                   (100, 400)])
def test_pictures_of_other_sizes_are_reduced_and_cut(tool, shape):
    """A picture of its own coordinates shows what is left of it."""
    rows, columns = np.mgrid[:shape[0], :shape[1]]
    picture = np.stack([rows * 255 / shape[0], columns * 255 / shape[1],
                        0 * rows], -1).astype(np.uint8)
    cut = tool.cover(picture, 96, 128).astype(float)
    assert cut.shape == (96, 128, 3)
    scale = max(96 / shape[0], 128 / shape[1])
    for axis, length in enumerate((96, 128)):
        span = cut[..., axis].max() - cut[..., axis].min()
        assert span == pytest.approx(
            255 * length / (shape[axis] * scale), abs=6)
        # the same is cut off on both sides
        assert cut[..., axis].mean() == pytest.approx(127, abs=3)


def test_chroma_is_what_grey_lacks(tool):
    grey = torch.rand(2, 1, 8, 12).expand(-1, 3, -1, -1)
    assert tool.chroma(grey).abs().max() < 1e-6
    # cells of red, and of blue beside it
    image = torch.zeros(1, 3, 4, 8)
    image[:, 0, :, :4] = image[:, 2, :, 4:] = 1
    assert tool.chroma(image)[0].tolist() == [[[1, 0]], [[-.5, 1]]]
