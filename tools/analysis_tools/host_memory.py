"""Measure the peaks of host memory while a model is loaded, saved and resumed.

Each step runs in a process of its own, on the CPU, with random weights; peaks
are those of the process's own memory, in multiples of the bytes of all
weights. Pages of files that are mapped are not counted: the system takes them
back when it needs them.
"""
import argparse
import json
import os
import os.path as osp
import subprocess
import sys
import tempfile
import threading
import time

STEPS = ('load pretrained', 'save', 'resume')


class Peak:
    """The largest own memory of this process while the block runs."""

    def __enter__(self):
        self.before = self.peak = own_bytes()
        self.running = True
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self):
        while self.running:
            self.peak = max(self.peak, own_bytes())
            time.sleep(0.002)

    def __exit__(self, *error):
        self.running = False
        self.thread.join()
        self.growth = max(self.peak, own_bytes()) - self.before


def own_bytes():
    """Return the bytes of anonymous memory that this process uses."""
    with open('/proc/self/status') as file:
        for line in file:
            if line.startswith('RssAnon:'):
                return int(line.split()[1]) * 1024
    raise RuntimeError('host_memory.py needs /proc/self/status (Linux).')


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--width', type=float, default=0.5,
        help="widths as a share of Stable Diffusion 2.1's; default: 0.5")
    parser.add_argument('--step', choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument('--folder', help=argparse.SUPPRESS)
    return parser.parse_args()


def arch_of(width):
    """Return Stable Diffusion 2.1's architecture with scaled widths."""
    from genpercept_mm.models.utils.sd_archs import ARCHS
    if width == 1:
        return 'sd21'

    def scaled(config):
        return dict(config, block_out_channels=tuple(
            max(32, int(channels * width) // 32 * 32)
            for channels in config['block_out_channels']))

    unet, vae = (scaled(ARCHS['sd21'][part]) for part in ('unet', 'vae'))
    unet['attention_head_dim'] = tuple(
        channels // 32 for channels in unet['block_out_channels'])
    return dict(unet=unet, vae=vae)


def model_config(width, folder=None):
    """Write the config of a model with both halves of the VAE."""
    arch = arch_of(width)
    return dict(
        type='genpercept_mm.DenseEstimator',
        data_preprocessor=dict(type='genpercept_mm.OneStepDataPreprocessor'),
        backbone=dict(type='genpercept_mm.SDUNet', arch=arch,
                      out_indices=(4, ), pretrained=folder,
                      prompt_embeds=folder and osp.join(
                          folder, 'prompt.npy')),
        decode_head=dict(
            type='genpercept_mm.VAEDecodeHead', arch=arch, pretrained=folder,
            codec=dict(type='genpercept_mm.MatteCodec'),
            loss_latent=dict(type='genpercept_mm.MaskedMSELoss')))


def write_pretrained(width, folder):
    """Write random weights in diffusers layout."""
    import numpy as np
    from diffusers import AutoencoderKL, UNet2DConditionModel

    from genpercept_mm.models.utils.sd_archs import resolve_arch
    unet, vae = resolve_arch(arch_of(width))
    UNet2DConditionModel(**unet).save_pretrained(osp.join(folder, 'unet'))
    AutoencoderKL(**vae).save_pretrained(osp.join(folder, 'vae'))
    np.save(osp.join(folder, 'prompt.npy'),
            np.zeros((1, 2, unet['cross_attention_dim']), np.float32))


def runner_config(width, folder, **more):
    """Write a config of a training of one iteration on noise."""
    return dict(
        model=model_config(width),
        work_dir=osp.join(folder, 'run'),
        train_dataloader=dict(
            batch_size=1, num_workers=0,
            sampler=dict(type='InfiniteSampler'),
            dataset=dict(
                type='genpercept_mm.FolderPairsDataset', img_dir=folder,
                label_dir=osp.join(folder, 'alpha'), label='alpha',
                img_suffix='.jpg', label_suffix='.png', pipeline=[
                    dict(type='mmcv.LoadImageFromFile'),
                    dict(type='genpercept_mm.LoadAlpha'),
                    dict(type='genpercept_mm.EncodeTarget', codec=dict(
                        type='genpercept_mm.MatteCodec')),
                    dict(type='genpercept_mm.PackDenseInputs')])),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=1,
                       val_interval=10),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=1e-4)),
        default_hooks=dict(
            logger=None, checkpoint=dict(
                type='genpercept_mm.SafeCheckpointHook', by_epoch=False,
                interval=1),
            resume=dict(type='genpercept_mm.ResumeConfigHook'),
            guard=dict(type='genpercept_mm.FiniteGuardHook')),
        log_level='ERROR', default_scope='mmseg', **more)


def measure(step, width, folder):
    """Run one step; returns its peak and the bytes of the weights."""
    from mmengine.registry import MODELS, init_default_scope

    import genpercept_mm  # noqa: F401, before the hosts
    init_default_scope('mmseg')
    # imports of libraries are not the model's
    MODELS.build(dict(type='genpercept_mm.SDUNet', arch='mini'))
    if step == 'load pretrained':
        with Peak() as peak:
            model = MODELS.build(model_config(width, folder))
            model.init_weights()
    else:
        from mmengine.config import Config
        from mmengine.hooks import Hook
        from mmengine.runner import Runner

        more = {}
        if step == 'resume':
            more = dict(resume=True)
        cfg = runner_config(width, folder, **more)
        cfg['train_cfg']['max_iters'] = 1 if step == 'save' else 2
        runner = Runner.from_cfg(Config(cfg))
        model = runner.model
        if step == 'save':
            stock, peak = runner.save_checkpoint, Peak()

            def save(*args, **kwargs):
                with peak:
                    stock(*args, **kwargs)

            runner.save_checkpoint = save
            runner.train()
        else:

            class Stop(Hook):
                def before_train_iter(self, runner, *args, **kwargs):
                    raise StopIteration

            runner.register_hook(Stop())
            peak = Peak()
            try:
                with peak:
                    runner.train()
            except StopIteration:
                pass
    size = sum(value.nbytes for value in model.state_dict().values())
    return dict(bytes=size, peak=peak.growth)


def main():
    args = parse_args()
    root = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
    sys.path.insert(0, root)
    if args.step:
        print(json.dumps(measure(args.step, args.width, args.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        import cv2
        import numpy as np
        write_pretrained(args.width, folder)
        os.makedirs(osp.join(folder, 'alpha'))
        cv2.imwrite(osp.join(folder, 'a.jpg'), np.zeros((64, 64, 3)))
        cv2.imwrite(osp.join(folder, 'alpha', 'a.png'), np.zeros((64, 64)))
        print(f'{"step":18}{"weights":>12}{"peak":>12}{"ratio":>8}')
        for step in STEPS:
            done = subprocess.run(
                [sys.executable, osp.abspath(__file__), '--step', step,
                 '--width', str(args.width), '--folder', folder],
                capture_output=True, text=True, check=True,
                env=dict(os.environ, PYTHONPATH=root))
            result = json.loads(done.stdout.splitlines()[-1])
            print(f'{step:18}{result["bytes"] / 2**20:9.0f} MiB'
                  f'{result["peak"] / 2**20:9.0f} MiB'
                  f'{result["peak"] / result["bytes"]:8.2f}', flush=True)


if __name__ == '__main__':
    main()
