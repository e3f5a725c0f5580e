import json
import os
import shutil
import sys
import zlib

import marigold2mm
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT, run_python
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    LCMScheduler,
    MarigoldDepthPipeline,
    MarigoldNormalsPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.marigold.marigold_image_processing import (
    MarigoldImageProcessor,
)
from mmengine.config import Config
from PIL import Image
from transformers import CLIPTokenizer
from weights import write_text_encoder

from genpercept_mm.apis import DenseInferencer
from genpercept_mm.models.utils.sd_archs import ARCHS
from genpercept_mm.registry import MODELS

SCHEDULERS = dict(
    # as in the files of v1-0 and v1-1
    leading=dict(),
    trailing=dict(timestep_spacing='trailing', rescale_betas_zero_snr=True))


class Marigold:
    """Pipelines of diffusers with random weights, and their folders."""

    def __init__(self, root):
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            **dict(ARCHS['mini']['unet'], in_channels=8)).eval()
        vae = AutoencoderKL(**ARCHS['mini']['vae']).eval()
        encoder = write_text_encoder(root)
        tokenizer = CLIPTokenizer.from_pretrained(root / 'tokenizer')
        with torch.no_grad():
            # outputs that fill the range and depend on image and noise
            unet.conv_out.weight.mul_(4)
            vae.quant_conv.weight.mul_(8)
            vae.decoder.conv_out.weight.mul_(4)
            for part in (vae.encoder, vae.decoder):
                attention = part.mid_block.attentions[0]
                attention.to_q.weight.mul_(4)
                attention.to_v.weight.mul_(4)
        self.pipelines, self.folders = {}, {}
        for task, cls, kind in (
                ('depth', MarigoldDepthPipeline, 'depth'),
                ('disparity', MarigoldDepthPipeline, 'disparity'),
                ('normal', MarigoldNormalsPipeline, 'normals')):
            for spacing, fields in SCHEDULERS.items():
                scheduler = DDIMScheduler(
                    beta_start=0.00085, beta_end=0.012,
                    beta_schedule='scaled_linear', clip_sample=False,
                    set_alpha_to_one=False, steps_offset=1,
                    prediction_type='v_prediction', **fields)
                pipeline = cls(
                    unet, vae, scheduler, encoder, tokenizer,
                    prediction_type=kind, default_denoising_steps=4,
                    default_processing_resolution=768)
                pipeline.set_progress_bar_config(disable=True)
                self.pipelines[task, spacing] = pipeline
                self.folders[task, spacing] = str(root / f'{task}-{spacing}')
        for key in (('depth', 'leading'), ('depth', 'trailing'),
                    ('disparity', 'trailing'), ('normal', 'leading'),
                    ('normal', 'trailing')):
            self.pipelines[key].save_pretrained(self.folders[key])

    def run(self, task, spacing, image, steps, members=1, seed=0):
        """Prediction and uncertainty, (1, C, H, W); members in one batch."""
        result = self.pipelines[task, spacing](
            image, num_inference_steps=steps, ensemble_size=members,
            processing_resolution=0, batch_size=members, output_type='pt',
            generator=torch.Generator().manual_seed(seed),
            output_uncertainty=members > 1)
        return result.prediction, result.uncertainty


@pytest.fixture(scope='module')
def marigold(tmp_path_factory):
    return Marigold(tmp_path_factory.mktemp('marigold'))


@pytest.fixture
def convert(tmp_path, monkeypatch, capsys):
    """Run the tool; gives the config that it prints, and its words."""

    def run(src, *args):
        out = str(tmp_path / 'out.pth')
        monkeypatch.setattr(
            sys, 'argv', ['', str(src), '--out', out, *map(str, args)])
        capsys.readouterr()
        marigold2mm.main()
        words, config = capsys.readouterr().out.split('\n\n', 1)
        cfg = Config.fromstring(config, '.py')
        assert cfg.load_from == out
        return cfg, words

    run.out = tmp_path / 'out.pth'
    return run


def build(cfg, **test_cfg):
    model = dict(cfg.model, test_cfg=dict(cfg.model.test_cfg, **test_cfg))
    model = MODELS.build(model).eval()
    model.load_state_dict(
        torch.load(cfg.load_from, weights_only=True)['state_dict'])
    return model


def picture(size, seed=0):
    """Smooth and noisy, so that encoder and decoder see structure."""
    generator = torch.Generator().manual_seed(seed)
    coarse = F.interpolate(
        torch.rand(1, 3, 5, 7, generator=generator), size, mode='bicubic')
    image = coarse + torch.rand(1, 3, *size, generator=generator) / 5
    image = (image.clamp(0, 1) * 255).round().byte()[0]
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def tensor(image):
    """As the pipelines normalize it, padding included.

    Ensembles are compared on this very tensor, strides and all: how they are
    aligned, or which of two equally close normals is taken, can depend on
    the last bit, and the pipelines differ from themselves if members run in
    batches of another size.
    """
    processor = MarigoldImageProcessor(vae_scale_factor=8)
    inputs, _, _ = processor.preprocess(
        image, 0, 'bilinear', 'cpu', torch.float32)
    return inputs


def predict(model, inputs):
    with torch.no_grad():
        sample, = model.predict(inputs)
    spread = sample.get(model.codec.pred_field.replace(
        '_map', '_uncertainty_map'))
    return (sample.get(model.codec.pred_field).data[None],
            None if spread is None else spread.data[None])


def close(ours, theirs, atol=1e-4):
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


@pytest.mark.parametrize('task, spacing', [
    pytest.param('depth', 'leading', marks=pytest.mark.nightly),
    pytest.param('depth', 'trailing', marks=pytest.mark.nightly),
    pytest.param('normal', 'leading', marks=pytest.mark.nightly),
    ('normal', 'trailing')])
def test_equals_the_pipeline(marigold, convert, task, spacing):
    """The same weights, noise, steps and ensembles."""
    cfg, words = convert(marigold.folders[task, spacing])
    assert f'for {task}, 4 steps' in words
    assert cfg.test_pipeline[1].long_edge == 768
    assert cfg.model.protocol.schedule.timestep_spacing == spacing
    image = picture((48, 72))
    for steps in (1, 4, 10):
        maps = []
        for members in (1, 5):
            model = build(cfg, num_steps=steps, ensemble_size=members,
                          seed=3, uncertainty=members > 1)
            ours = predict(model, tensor(image))
            theirs = marigold.run(task, spacing, image, steps, members, 3)
            for own, other in zip(ours, theirs):
                if other is not None:
                    assert other.std() > 0.05
                    close(own, other)
            maps.append(ours[0])
        # neither noise nor ensembling is without effect
        other_noise = marigold.run(task, spacing, image, steps, seed=4)[0]
        assert (maps[0] - other_noise).abs().mean() > 0.01
        assert (maps[0] - maps[1]).abs().mean() > 0.01


def test_disparity_equals_the_pipeline(marigold, convert):
    cfg, _ = convert(marigold.folders['disparity', 'trailing'])
    model = build(cfg)
    assert model.codec.pred_field == 'pred_disparity_map'
    image = picture((48, 72))
    close(predict(model, tensor(image))[0],
          marigold.run('disparity', 'trailing', image, 4)[0])


@pytest.mark.parametrize('task', ['depth', 'normal'])
@pytest.mark.parametrize('size, edge', [
    ((45, 67), 0), ((45, 67), 56), ((90, 50), 64), ((30, 50), 72)])
def test_equals_the_pipeline_at_every_size(marigold, convert, task, size,
                                           edge):
    """Pipelines resize floats, repeat edge pixels up to a multiple of 8, cut
    them off and resize back without antialiasing."""
    convert(marigold.folders[task, 'trailing'])
    inferencer = DenseInferencer(convert.out, device='cpu')
    image = picture(size)
    result = inferencer(image, size=edge or 'native')
    theirs = marigold.pipelines[task, 'trailing'](
        image, num_inference_steps=4, ensemble_size=1,
        processing_resolution=edge, output_type='np',
        # the name of an image in memory
        generator=torch.Generator().manual_seed(
            zlib.crc32(b'0 image_000000'))).prediction[0]
    ours = result[task]
    assert theirs.std() > .05
    assert np.abs(ours - theirs.reshape(ours.shape)).max() < 1e-4


def test_the_test_tool_runs_it(marigold, convert, tmp_path):
    """Predict on a folder of images with the config that is written."""
    _, words = convert(
        marigold.folders['depth', 'leading'], '--config',
        tmp_path / 'model.py', '--steps', 2)
    assert 'for depth, 2 steps' in words
    assert sorted(os.listdir(tmp_path)) == ['model.py', 'out.pth']
    images = {'a': picture((48, 72), 1), 'b': picture((56, 40), 2),
              'c/d': picture((48, 72), 3)}
    os.makedirs(tmp_path / 'images/c')
    for name, image in images.items():
        image.save(tmp_path / f'images/{name}.png')
    (tmp_path / 'test.py').write_text(f'''
_base_ = ['model.py', '{ROOT}/configs/_base_/dense_runtime.py']
test_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='genpercept_mm.FolderPairsDataset',
        img_dir='images',
        data_root='{tmp_path}',
        test_mode=True,
        pipeline=[dict(type='LoadImageFromFile'),
                  dict(type='genpercept_mm.PackDenseInputs')]))
test_evaluator = dict(
    type='genpercept_mm.AffineDepthMetric', output_dir='{tmp_path}/maps',
    format_only=True)
test_cfg = dict(type='TestLoop')
''')
    run_python('tools/test.py', tmp_path / 'test.py', convert.out,
               '--work-dir', tmp_path / 'work')
    for name, image in images.items():
        # seed and name of an image make its noise
        theirs, _ = marigold.run('depth', 'leading', image, 2,
                                 seed=zlib.crc32(f'0 {name}'.encode()))
        ours = np.load(tmp_path / f'maps/{name}.npy')
        close(torch.from_numpy(ours), theirs[0, 0])


def test_what_does_not_fit_is_refused(marigold, convert, tmp_path):
    copy = tmp_path / 'copy'
    shutil.copytree(marigold.folders['depth', 'leading'], copy)

    def refused(match, *args, src=copy):
        with pytest.raises(SystemExit, match=match):
            convert(src, *args)
        assert not convert.out.exists()

    def change(path, **fields):
        content = json.loads((copy / path).read_text())
        (copy / path).write_text(json.dumps({**content, **fields}))

    refused('is not a folder', src=tmp_path / 'nowhere')
    refused('--config must end in .py', '--config', tmp_path / 'a.json')
    refused('not for normal', '--task', 'normal')
    refused('1..1000', '--steps', 0)
    scheduler = 'scheduler/scheduler_config.json'
    change(scheduler, prediction_type='epsilon')
    refused("got 'epsilon'")
    change(scheduler, _class_name='PNDMScheduler')
    refused('PNDMScheduler')
    os.remove(copy / scheduler)
    refused('scheduler_config.json does not exist')
    change('model_index.json', _class_name='StableDiffusionPipeline')
    refused('holds a StableDiffusionPipeline')


@pytest.fixture(scope='module')
def lcm(marigold, tmp_path_factory):
    """A folder of a latent consistency model, and its pipeline."""
    parts = marigold.pipelines['depth', 'leading'].components
    pipeline = MarigoldDepthPipeline(**dict(
        parts, scheduler=LCMScheduler(
            beta_start=0.00085, beta_end=0.012,
            beta_schedule='scaled_linear', clip_sample=False,
            set_alpha_to_one=True, prediction_type='v_prediction')),
        prediction_type='depth', default_denoising_steps=1,
        default_processing_resolution=768)
    pipeline.set_progress_bar_config(disable=True)
    folder = str(tmp_path_factory.mktemp('lcm') / 'lcm')
    pipeline.save_pretrained(folder)
    return pipeline, folder


def test_one_step_of_a_latent_consistency_model(lcm, convert):
    pipeline, folder = lcm
    convert(folder)
    inferencer = DenseInferencer(convert.out, device='cpu')
    image = picture((48, 72))
    theirs = pipeline(
        image, num_inference_steps=1, ensemble_size=1,
        processing_resolution=0, output_type='np',
        generator=torch.Generator().manual_seed(
            zlib.crc32(b'0 image_000000'))).prediction[0, ..., 0]
    ours = inferencer(image, size='native')['depth']
    assert theirs.std() > .05 and np.abs(ours - theirs).max() < 5e-5


def test_more_steps_of_it_are_refused(lcm, convert):
    with pytest.raises(SystemExit, match='supported with one step, got 4'):
        convert(lcm[1], '--steps', 4)
