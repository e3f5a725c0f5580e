"""Pretrain the mini VAE and U-Net: the prior that mini configs start from.

A small stand-in for Stable Diffusion: first the VAE, then the U-Net as an
unconditional latent diffusion model (v-prediction, Stable Diffusion's noise
schedule, empty prompt), on rendered pictures alone, never on labels. An
interrupted run continues. Writes a folder in diffusers layout and, beside
the checkpoints, samples.png: pictures, their reconstructions, samples.
"""
import argparse
import json
import math
import os
import os.path as osp
import subprocess
import sys
import time
from glob import glob

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from genpercept_mm.models.utils.prompt_embedding import embed_prompt
from genpercept_mm.models.utils.sd_archs import resolve_arch
from genpercept_mm.utils.files import write_whole
from genpercept_mm.utils.pictures import write_png

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
# Stable Diffusion 2.1's own; the noise schedule of its training
SCHEDULER = dict(
    beta_schedule='scaled_linear',
    beta_start=0.00085,
    beta_end=0.012,
    num_train_timesteps=1000,
    prediction_type='v_prediction',
    clip_sample=False,
    set_alpha_to_one=False,
    steps_offset=1,
    timestep_spacing='leading')
EMA = 0.999
SAVE_SECONDS = 120


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--work-dir', default='work_dirs/pretrain_mini',
                        help='pictures, checkpoints and samples')
    parser.add_argument('--out', default='genpercept_mm/weights/mini',
                        help='folder for the finished weights')
    parser.add_argument('--images', nargs='+', metavar='FOLDER',
                        help='pictures to use (.jpg, searched in all '
                        'sub-folders); default: render them')
    parser.add_argument('--num-frames', type=int, default=400,
                        help='pictures of rooms to render for each seed')
    parser.add_argument('--num-objects', type=int, default=240,
                        help='pictures of people, and of things, to render')
    parser.add_argument('--num-persons', type=int, default=480,
                        help='pictures of posed persons to draw')
    parser.add_argument('--num-patterns', type=int, default=1200,
                        help='pictures of shapes in random palettes to draw')
    parser.add_argument('--vae-iters', type=int, default=6000)
    parser.add_argument('--unet-iters', type=int, default=7000)
    parser.add_argument('--vae-batch', type=int, default=8)
    parser.add_argument('--unet-batch', type=int, default=32)
    parser.add_argument('--vae-lr', type=float, default=1e-3)
    parser.add_argument('--unet-lr', type=float, default=1e-3)
    parser.add_argument('--seeds', type=int, nargs='+',
                        default=[101, 102], metavar='SEED',
                        help='of the pictures, the first one also of the '
                        'training; the data of demos and ablations have '
                        'others')
    parser.add_argument('--device', default='cuda' if
                        torch.cuda.is_available() else 'cpu')
    return parser.parse_args()


def render(args):
    """Render pictures; what is there already is kept."""
    folder = osp.join(args.work_dir, 'images')
    first = args.seeds[0]
    for kind, name, frames, seed, more in (
            ('patterns', 'mini_patterns', args.num_patterns, first, ()),
            ('persons', 'mini_people', args.num_persons, first, ()),
            ('subjects', 'mini_objects', args.num_objects, first,
             ('--frames-per-room', '2')),
            *(('rooms', 'mini_hypersim', args.num_frames, seed, ())
              for seed in args.seeds)):
        subprocess.run(
            [sys.executable,
             osp.join(ROOT, 'tools/dataset_converters/miniworld.py'), kind,
             '--out-dir', osp.join(folder, f'{name}_{seed}'),
             '--num-frames', str(frames), '--seed', str(seed), *more],
            check=True,
            env=dict(os.environ, PYTHONPATH=ROOT))
    return [folder]


def cover(image, height, width):
    """Reduce a picture (H, W, 3) until it just covers a size, and cut what
    protrudes, the same on both sides."""
    scale = max(height / image.shape[0], width / image.shape[1])
    if scale < 1:
        image = cv2.resize(image, (
            max(round(image.shape[1] * scale), width),
            max(round(image.shape[0] * scale), height)),
            interpolation=cv2.INTER_AREA)
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top:top + height, left:left + width]


def read_images(folders):
    """Read all pictures, as an (N, 3, H, W) uint8 RGB tensor of the smallest
    height and width among them."""
    paths = sorted(path for folder in folders for path in glob(
        osp.join(folder, '**', '*.jpg'), recursive=True))
    if not paths:
        raise FileNotFoundError(f'{folders} hold no .jpg pictures.')
    images = [cv2.imread(path) for path in paths]
    size = tuple(min(image.shape[dim] for image in images) for dim in (0, 1))
    images = [cover(image, *size) for image in images]
    return torch.from_numpy(
        np.stack(images)[..., ::-1].copy()).permute(0, 3, 1, 2)


def split(images):
    """Keep every 20th group of 8 pictures, whole rooms, for reporting."""
    held_back = torch.arange(len(images)) // 8 % 20 == 19
    return images[~held_back], images[held_back]


def to_float(images, device):
    return images.to(device).float() / 127.5 - 1


def augment(images, generator):
    """Mirror, recolour, cut: a VAE has to code masks, normals and class
    colours too, and must not know them from labels.

    Args:
        images (Tensor): (N, 3, H, W) in [-1, 1].
        generator (torch.Generator): On the CPU.

    Returns:
        Tensor: (N, 3, h, w) in [-1, 1].
    """
    def chance(probability):
        return torch.rand((), generator=generator) < probability

    def uniform(low, high, *shape):
        return low + (high - low) * torch.rand(shape, generator=generator)

    out = []
    for image in images:
        if chance(.5):
            image = image.flip(-1)
        if chance(.5):
            grey = image.mean(0, keepdim=True)
            image = grey + (image - grey) * uniform(1, 4, 1).to(image)
            image = image[torch.randperm(3, generator=generator)]
        if chance(.5):
            if chance(.4):
                image = image.mean(0, keepdim=True).expand(3, -1, -1)
            elif chance(.5):
                mixing = uniform(-1, 1, 3, 3).to(image)
                mixing = mixing / mixing.abs().sum(1, keepdim=True)
                image = torch.einsum('ij,jhw->ihw', mixing, image) * 2
            if chance(.3):
                # a few flat levels, as of masks and classes
                levels = int(torch.randint(2, 6, (), generator=generator))
                low, high = image.amin(), image.amax()
                share = (image - low) / (high - low).clamp(min=1e-3)
                image = (share * levels).floor().clamp(
                    max=levels - 1) / (levels - 1) * 2 - 1
            else:
                gain, bias = uniform(.5, 2, 1), uniform(-.4, .4, 1)
                image = image * gain.to(image) + bias.to(image)
            if chance(.3):
                image = -image
        out.append(image.clamp(-1, 1))
    out = torch.stack(out)
    height, width = out.shape[2:]
    top, left = (8 * int(torch.randint(0, size // 24 + 1, (),
                                       generator=generator))
                 for size in (height, width))
    return out[..., top:top + height * 2 // 3 // 8 * 8,
               left:left + width * 2 // 3 // 8 * 8]


class Stage:
    """One training: optimizer, cosine rate, averaged weights, checkpoints.

    Args:
        name (str): Also of the checkpoint.
        model (nn.Module): Trained in place.
        args (Namespace): The command line's.
        iters (int): Iterations in total.
        lr (float): Highest learning rate.
    """

    def __init__(self, name, model, args, iters, lr):
        self.name, self.model, self.iters = name, model, iters
        self.path = osp.join(args.work_dir, f'{name}.pth')
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=lr, weight_decay=1e-2)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda n: min((n + 1) / 200, 1) * (
                .5 + .5 * math.cos(math.pi * min(n / iters, 1)) + 1e-3))
        self.average = torch.optim.swa_utils.AveragedModel(
            model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(
                EMA))
        self.generator = torch.Generator().manual_seed(args.seeds[0])
        self.done, self.log, self.seconds = 0, [], 0.
        if osp.isfile(self.path):
            self.restore()

    def restore(self):
        state = torch.load(self.path, weights_only=True)
        if state['iters'] != self.iters:
            raise ValueError(
                f'{self.path} belongs to a training of {state["iters"]} '
                f'iterations, not {self.iters}; give that number, or '
                'another --work-dir.')
        self.model.load_state_dict(state['model'])
        self.average.load_state_dict(state['average'])
        self.optimizer.load_state_dict(state['optimizer'])
        self.scheduler.load_state_dict(state['scheduler'])
        self.generator.set_state(state['generator'])
        self.done, self.log = state['done'], state['log']
        self.seconds = state['seconds']

    def save(self):
        state = dict(
            model=self.model.state_dict(),
            average=self.average.state_dict(),
            optimizer=self.optimizer.state_dict(),
            scheduler=self.scheduler.state_dict(),
            generator=self.generator.get_state(),
            done=self.done,
            log=self.log,
            seconds=self.seconds,
            iters=self.iters)
        write_whole(self.path, lambda path: torch.save(state, path))

    def run(self, loss_of):
        """Train to the end.

        Args:
            loss_of (callable): Takes the generator; gives a dict of losses,
                whose ``'loss'`` is minimized.
        """
        self.model.train()
        if self.done < self.iters:
            print(f'{self.name}: iteration {self.done} of {self.iters}',
                  flush=True)
        start = saved = time.time()
        before, first, sums = self.seconds, self.done, {}
        every = max(self.iters // 50, 1)
        while self.done < self.iters:
            losses = loss_of(self.generator)
            self.optimizer.zero_grad()
            losses['loss'].backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.)
            self.optimizer.step()
            self.scheduler.step()
            self.average.update_parameters(self.model)
            self.done += 1
            for key, value in losses.items():
                sums.setdefault(key, []).append(float(value.detach()))
            now = time.time()
            self.seconds = before + now - start
            if self.done % every == 0:
                means = {key: round(sum(values) / len(values), 5)
                         for key, values in sums.items()}
                sums = {}
                self.log.append(dict(iteration=self.done, **means))
                left = (now - start) / (self.done - first) * (
                    self.iters - self.done)
                print(f'{self.name}: {self.done}/{self.iters}, {means}, '
                      f'{now - start:.0f} s, {left:.0f} s left', flush=True)
            if now - saved > SAVE_SECONDS or self.done == self.iters:
                self.save()
                saved = time.time()
        return self.average.module.eval()


def chroma(images, cell=4):
    """Return the mean differences of colours, (N, 2, H / cell, W / cell) of
    (N, 3, H, W), in cells of so many pixels."""
    red, green, blue = F.avg_pool2d(images, cell).unbind(1)
    return torch.stack([red - green, blue - (red + green) / 2], 1)


def train_vae(vae, images, args):
    """Reconstruction in pixels and their differences, and a little KL.

    Colours count twice: most pixels of a room are nearly grey, and a VAE that
    is rewarded for pixels alone leaves colours out.
    """
    stage = Stage('vae', vae, args, args.vae_iters, args.vae_lr)

    def loss_of(generator):
        picks = torch.randint(
            len(images), (args.vae_batch, ), generator=generator)
        batch = augment(to_float(images[picks], args.device), generator)
        posterior = vae.encode(batch).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator)
        decoded = vae.decode(
            posterior.mean + posterior.std * noise.to(batch)).sample
        pixels = F.l1_loss(decoded, batch)
        edges = sum(F.l1_loss(decoded.diff(dim=dim), batch.diff(dim=dim))
                    for dim in (2, 3))
        colours = F.l1_loss(chroma(decoded), chroma(batch))
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        return dict(loss=pixels + edges + 2 * colours + 3e-4 * kl, l1=pixels,
                    colours=colours, kl=kl)

    return stage.run(loss_of), stage


@torch.no_grad()
def standardize(vae, images, args):
    """Give the latents mean 0 and deviation 1, times the scaling factor.

    Exact: the two 1 x 1 convolutions around the latent take the change.
    """
    means = torch.cat([
        vae.encode(to_float(batch, args.device)).latent_dist.mean
        for batch in images.split(64)])
    mean = means.mean((0, 2, 3))
    deviation = means.std((0, 2, 3)) * vae.config.scaling_factor
    channels = len(mean)
    inner, outer = vae.quant_conv, vae.post_quant_conv
    outer.bias += outer.weight[..., 0, 0] @ mean
    outer.weight *= deviation.view(1, -1, 1, 1)
    inner.weight[:channels] /= deviation.view(-1, 1, 1, 1)
    inner.bias[:channels] = (inner.bias[:channels] - mean) / deviation
    # logarithm of the variance
    inner.bias[channels:] -= 2 * deviation.log()


@torch.no_grad()
def encode(vae, images, args):
    return torch.cat([
        vae.encode(to_float(batch, args.device)).latent_dist.mean
        for batch in images.split(64)]) * vae.config.scaling_factor


def train_unet(unet, latents, prompt, args):
    """v-prediction of noised latents, with uniform timesteps."""
    from diffusers import DDIMScheduler
    scheduler = DDIMScheduler(**SCHEDULER)
    stage = Stage('unet', unet, args, args.unet_iters, args.unet_lr)

    def loss_of(generator):
        size = (args.unet_batch, )
        picks = torch.randint(len(latents), size, generator=generator)
        times = torch.randint(1000, size, generator=generator)
        clean = latents[picks.to(latents.device)]
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        times = times.to(clean.device)
        velocity = unet(
            scheduler.add_noise(clean, noise, times), times,
            prompt.expand(len(clean), -1, -1)).sample
        target = scheduler.get_velocity(clean, noise, times)
        return dict(loss=F.mse_loss(velocity, target))

    return stage.run(loss_of), stage


@torch.no_grad()
def held_back_loss(unet, latents, prompt, args):
    """The training loss on pictures that were held back, fixed draws."""
    from diffusers import DDIMScheduler
    scheduler = DDIMScheduler(**SCHEDULER)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for time_step in range(25, 1000, 50):
        times = torch.full((len(latents), ), time_step, device=args.device)
        noise = torch.randn(
            latents.shape, generator=generator).to(latents)
        velocity = unet(
            scheduler.add_noise(latents, noise, times), times,
            prompt.expand(len(latents), -1, -1)).sample
        losses.append(float(F.mse_loss(
            velocity, scheduler.get_velocity(latents, noise, times))))
    return sum(losses) / len(losses)


@torch.no_grad()
def sample(unet, vae, prompt, shape, args, steps=50):
    """Draw pictures from the prior."""
    from diffusers import DDIMScheduler
    scheduler = DDIMScheduler(**SCHEDULER)
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(shape, generator=generator).to(args.device)
    for time_step in scheduler.timesteps:
        velocity = unet(latents, time_step,
                        prompt.expand(len(latents), -1, -1)).sample
        latents = scheduler.step(velocity, time_step, latents).prev_sample
    return vae.decode(latents / vae.config.scaling_factor).sample


def draw(rows, path):
    """Write rows of pictures in [-1, 1] as one file."""
    sheet = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    sheet = ((sheet.clamp(-1, 1) + 1) * 127.5).round().byte()
    write_png(path, sheet.permute(1, 2, 0).cpu().numpy())


def write_text_encoder(folder, width):
    """A tokenizer of single bytes and a small random text encoder: the prior
    has seen one prompt, so all that others need is to differ."""
    from transformers import CLIPTextConfig, CLIPTextModel
    from transformers.convert_slow_tokenizer import bytes_to_unicode
    tokens = list(bytes_to_unicode().values())
    vocabulary = [*tokens, *(token + '</w>' for token in tokens),
                  '<|startoftext|>', '<|endoftext|>']
    home = osp.join(folder, 'tokenizer')
    os.makedirs(home, exist_ok=True)
    files = dict(
        vocab={token: index for index, token in enumerate(vocabulary)},
        tokenizer_config=dict(
            tokenizer_class='CLIPTokenizer',
            model_max_length=77,
            bos_token='<|startoftext|>',
            eos_token='<|endoftext|>',
            unk_token='<|endoftext|>',
            pad_token='<|endoftext|>'))
    for name, content in files.items():
        with open(osp.join(home, f'{name}.json'), 'w') as file:
            json.dump(content, file)
    with open(osp.join(home, 'merges.txt'), 'w') as file:
        file.write('#version: 0.2\n')
    torch.manual_seed(0)
    CLIPTextModel(CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=len(vocabulary) - 2,
        eos_token_id=len(vocabulary) - 1)).half().save_pretrained(
            osp.join(folder, 'text_encoder'))


def main():
    args = parse_args()
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    os.makedirs(args.work_dir, exist_ok=True)
    images, held_back = split(read_images(args.images or render(args)))
    unet_config, vae_config = resolve_arch('mini')
    write_text_encoder(args.out, unet_config['cross_attention_dim'])
    prompt = embed_prompt(args.out, '').to(args.device)

    torch.manual_seed(args.seeds[0])
    vae = AutoencoderKL(**vae_config).to(args.device)
    unet = UNet2DConditionModel(**unet_config).to(args.device)
    vae, vae_stage = train_vae(vae, images, args)
    standardize(vae, images, args)
    latents, held_back_latents = (
        encode(vae, part, args) for part in (images, held_back))
    mirrored = encode(vae, images.flip(-1), args)
    unet, unet_stage = train_unet(
        unet, torch.cat([latents, mirrored]), prompt, args)

    with torch.no_grad():
        shown = to_float(held_back, args.device)
        decoded = torch.cat([
            vae.decode(part / vae.config.scaling_factor).sample
            for part in held_back_latents.split(64)])
        error = F.l1_loss(decoded, shown)
        psnr = 10 * torch.log10(4 / (decoded - shown).square().mean(
            (1, 2, 3))).mean()
    samples = sample(unet, vae, prompt, (24, *latents.shape[1:]), args)
    picks = torch.linspace(0, len(shown) - 1, 8).long()
    draw([shown[picks], decoded[picks], *samples.split(8)],
         osp.join(args.work_dir, 'samples.png'))

    vae.half().save_pretrained(osp.join(args.out, 'vae'))
    unet.half().save_pretrained(osp.join(args.out, 'unet'))
    DDIMScheduler(**SCHEDULER).save_pretrained(
        osp.join(args.out, 'scheduler'))
    report = dict(
        command='python tools/analysis_tools/pretrain_mini.py '
        f'--num-frames {args.num_frames} --num-objects {args.num_objects} '
        f'--num-persons {args.num_persons} '
        f'--num-patterns {args.num_patterns} '
        f'--seeds {" ".join(map(str, args.seeds))} '
        f'--vae-iters {args.vae_iters} --unet-iters {args.unet_iters}',
        torch=torch.__version__,
        device=args.device,
        pictures=len(images),
        held_back_pictures=len(held_back),
        vae=dict(iterations=args.vae_iters, batch=args.vae_batch,
                 minutes=round(vae_stage.seconds / 60, 1),
                 held_back_l1=round(float(error), 4),
                 held_back_psnr=round(float(psnr), 2), log=vae_stage.log),
        unet=dict(iterations=args.unet_iters, batch=args.unet_batch,
                  minutes=round(unet_stage.seconds / 60, 1),
                  held_back_loss=round(held_back_loss(
                      unet.float(), held_back_latents, prompt, args), 4),
                  log=unet_stage.log))
    with open(osp.join(args.out, 'training.json'), 'w') as file:
        json.dump(report, file, indent=1)
    print(f'{args.out}: held-back pictures, VAE L1 {float(error):.4f}, PSNR '
          f'{float(psnr):.2f} dB; U-Net loss '
          f'{report["unet"]["held_back_loss"]:.4f}\n'
          f'{osp.join(args.work_dir, "samples.png")}')


if __name__ == '__main__':
    main()
