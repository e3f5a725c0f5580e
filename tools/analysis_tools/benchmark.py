"""Time a config's model part by part, next to plain diffusers.

The peer is the same weights called through diffusers' own classes in the same
process: AutoencoderKL.encode and UNet2DConditionModel for the stem and the
U-Net, and, with --train, a hand-written loop with the same heads and losses
on features that forward hooks collect. It also runs the U-Net's two output
layers, which ours leaves out where no latent is asked for. Weights are random:
speed does not depend on them, so nothing is downloaded. With --loader, the
training data of the config are read too, to see whether they keep up.
"""
import argparse
import gc
import resource
import sys
import time

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData

import genpercept_mm  # noqa: F401, compat acts before the host's models

UP_BLOCKS, LATENT = (0, 1, 2, 3), (4, )
DTYPES = dict(fp32=None, bf16=torch.bfloat16, fp16=torch.float16)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='an mmseg config with an SDUNet')
    parser.add_argument(
        '--shape', type=int, nargs=2, default=[512, 512],
        metavar=('H', 'W'), help='image size')
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument(
        '--dtype', choices=sorted(DTYPES), default='fp32',
        help='autocast to this type')
    parser.add_argument(
        '--train', action='store_true', help='also time training iterations')
    parser.add_argument(
        '--loader', action='store_true',
        help="also time the config's train_dataloader; its data must be there")
    parser.add_argument(
        '--iters', type=int, default=10, help='timed repetitions')
    parser.add_argument(
        '--warmup', type=int, default=3, help='repetitions before those')
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction,
                        help='override config values')
    return parser.parse_args()


class Clock:
    """Time calls and watch the memory.

    Args:
        args (Namespace): device, iters, warmup, dtype.
    """

    def __init__(self, args):
        self.args = args
        self.device_type = args.device.split(':')[0]
        self.cuda = self.device_type == 'cuda'

    def autocast(self):
        dtype = DTYPES[self.args.dtype]
        return torch.autocast(
            self.device_type, dtype=dtype, enabled=dtype is not None)

    def _synchronize(self):
        if self.cuda:
            torch.cuda.synchronize()

    def seconds(self, function):
        """Return the seconds of one call."""
        self._synchronize()
        start = time.perf_counter()
        with self.autocast():
            function()
        self._synchronize()
        return time.perf_counter() - start

    def compare(self, *functions):
        """Return the median seconds of each, called in turns: what slows
        the machine down for a while then slows all of them."""
        rounds = [[self.seconds(function) for function in functions]
                  for _ in range(self.args.warmup + self.args.iters)]
        return [sorted(column)[len(column) // 2]
                for column in zip(*rounds[self.args.warmup:])]

    def peak(self, function):
        """Return the peak memory of a call in GiB.

        On the CPU that is the process's high-water mark so far.
        """
        gc.collect()
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self.seconds(function)
            return torch.cuda.max_memory_allocated() / 2**30
        self.seconds(function)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**30 if sys.platform == 'darwin' else 2**20)


class PlainDiffusers(torch.nn.Module):
    """The same weights behind diffusers' own classes.

    Args:
        backbone (SDUNet): Its parameters are shared, not copied.
    """

    def __init__(self, backbone):
        super().__init__()
        from diffusers import AutoencoderKL, UNet2DConditionModel
        with torch.device('meta'):
            self.unet = UNet2DConditionModel.from_config(backbone.unet.config)
            self.vae = AutoencoderKL.from_config(backbone.vae.config)
        del self.vae.decoder, self.vae.post_quant_conv
        self.unet.load_state_dict(
            backbone.unet.state_dict(keep_vars=True), strict=False,
            assign=True)
        self.vae.load_state_dict(
            backbone.vae.state_dict(keep_vars=True), assign=True)
        device = backbone.prompt_embeds.device
        # only the output layers can be absent in ours
        for name in ('conv_norm_out', 'conv_out'):
            layer = getattr(self.unet, name)
            if layer.weight.is_meta:
                layer.to_empty(device=device).requires_grad_(False)
        if backbone.with_cp:
            self.unet.enable_gradient_checkpointing()
            self.vae.enable_gradient_checkpointing()
        self.prompt_embeds = backbone.prompt_embeds
        self.timestep = backbone.timestep
        self.scaling_factor = backbone.scaling_factor
        self.gives_latent = backbone.out_indices == LATENT
        self.features = {}
        for index, block in enumerate(reversed(self.unet.up_blocks)):
            block.register_forward_hook(
                lambda module, inputs, output, index=index:
                self.features.update({index: output}))

    def encode(self, x):
        return self.vae.encode(x).latent_dist.mode() * self.scaling_factor

    def run_unet(self, latent):
        prompt = self.prompt_embeds.expand(len(latent), -1, -1)
        return self.unet(
            latent, self.timestep, encoder_hidden_states=prompt).sample

    def forward(self, x):
        with torch.set_grad_enabled(torch.is_grad_enabled() and any(
                p.requires_grad for p in self.vae.parameters())):
            latent = self.encode(x)
        output = self.run_unet(latent)
        if self.gives_latent:
            return (-output, )
        return tuple(self.features[index] for index in range(4))


def build(cfg, device):
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    cfg.model.backbone.pretrained = None
    if 'pretrained' in cfg.model.decode_head:
        cfg.model.decode_head.pretrained = None
    backbone = cfg.model.backbone
    if (tuple(backbone.get('out_indices', UP_BLOCKS)) not in (UP_BLOCKS,
                                                              LATENT)
            or backbone.get('feature_type', 'post_upsample') !=
            'post_upsample' or backbone.get('lora_rank', 0)):
        raise ValueError(
            'benchmark.py compares with plain diffusers, which has no LoRA '
            'and gives the latent, or all four up blocks after their '
            'up-samplers; set out_indices=(0, 1, 2, 3) or (4, ), '
            "feature_type='post_upsample' and "
            'lora_rank=0.')
    return MODELS.build(cfg.model).to(device)


def make_batch(args, model):
    from mmseg.structures import SegDataSample
    height, width = args.shape
    images = torch.randint(0, 256, (args.batch_size, 3, height, width),
                           dtype=torch.uint8)
    codec = getattr(model, 'codec', None)
    samples = []
    for _ in images:
        sample = SegDataSample(metainfo=dict(
            ori_shape=(height, width), img_shape=(height, width)))
        if codec is None:
            sample.gt_sem_seg = PixelData(data=torch.randint(
                0, model.decode_head.num_classes, (1, height, width)))
        else:
            sample.set_data(dict(
                gt_target=PixelData(data=torch.rand(
                    codec.channels, height, width) * 2 - 1),
                gt_target_mask=PixelData(
                    data=torch.ones(1, height, width, dtype=torch.bool))))
        samples.append(sample)
    return dict(inputs=list(images), data_samples=samples)


def time_inference(model, peer, batch, clock):
    """Time the parts; {part: [ours, diffusers]}."""
    model.eval()
    peer.eval()
    backbone = model.backbone
    with torch.no_grad(), clock.autocast():
        x = model.data_preprocessor(dict(batch))['inputs']
        latent = backbone.encode(x)
        features = backbone(x)
    parts = dict(
        stem=(lambda: backbone.encode(x), lambda: peer.encode(x)),
        unet=(lambda: backbone.run_unet(latent),
              lambda: peer.run_unet(latent)),
        head=(lambda: model.decode_head(features), ),
        total=(lambda: model(x, mode='tensor'),
               lambda: model.decode_head(peer(x))))
    with torch.no_grad():
        memory = [clock.peak(function) for function in parts['total']]
        rows = {name: clock.compare(*functions)
                for name, functions in parts.items()}
    return dict(rows, memory=memory)


def time_training(model, peer, batch, clock):
    """Time forward, losses, backward and the optimizer's step."""
    model.train()
    data = model.data_preprocessor(dict(batch), training=True)
    x, samples = data['inputs'], data['data_samples']

    def losses_of(extract):
        features = extract(x)
        losses = dict(model._decode_head_forward_train(features, samples))
        if model.with_auxiliary_head:
            auxiliary = model.auxiliary_head.loss(features, samples,
                                                  model.train_cfg)
            losses.update({f'aux.{k}': v for k, v in auxiliary.items()})
        return losses

    # one optimizer for both, as they share the weights
    optimizer = torch.optim.Adam(
        [p for p in model.parameters() if p.requires_grad], lr=1e-5)
    scaler = torch.amp.GradScaler(
        clock.device_type, enabled=clock.args.dtype == 'fp16')

    def step_with(loss_function):

        def step():
            optimizer.zero_grad()
            loss, _ = model.parse_losses(loss_function())
            # the backward pass belongs outside autocast
            with torch.autocast(clock.device_type, enabled=False):
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()

        return step

    steps = (step_with(lambda: model.loss(x, samples)),
             step_with(lambda: losses_of(peer.train())))
    memory = [clock.peak(step) for step in steps]
    return dict(train=clock.compare(*steps), memory=memory)


def time_loader(cfg, args, step_seconds):
    """Print how many images the training data bring per second.

    Args:
        cfg (Config): Its ``train_dataloader`` is built as the Runner does.
        args (Namespace): iters, warmup.
        step_seconds (float | None): Of a training iteration.
    """
    from mmengine.runner import Runner
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    batches = iter(loader)
    counts = []
    for index in range(args.warmup + args.iters):
        if index == args.warmup:
            start = time.perf_counter()
        counts.append(len(next(batches)['inputs']))
    rate = sum(counts[args.warmup:]) / (time.perf_counter() - start)
    print(f'\nloader, {cfg.train_dataloader.num_workers} workers'
          f'\nimages per second     {rate:>12.2f}')
    if step_seconds is not None:
        needed = args.batch_size / step_seconds
        print(f'training iterations   {needed:>12.2f}'
              f'\nratio                 {rate / needed:>12.2f}')


def show(name, rows, batch_size, cuda):
    print(f'\n{name:<22}{"ours":>12}{"diffusers":>12}{"ratio":>8}')
    labels = dict(
        stem='stem (VAE encoder)', unet='U-Net', head='head', total='total',
        train='iteration', memory='peak memory')
    for key, values in rows.items():
        unit, scale = ('GiB', 1) if key == 'memory' else ('ms', 1000)
        if key == 'memory' and not cuda:
            # a process has one high-water mark: the peer's is not its own
            values = values[:1]
        row = f'{labels[key] + " [" + unit + "]":<22}'
        row += ''.join(f'{value * scale:>12.2f}' for value in values)
        if len(values) == 2:
            row += f'{values[0] / values[1]:>8.2f}'
        print(row)
    ours, theirs = rows['total' if 'total' in rows else 'train']
    print(f'{"images per second":<22}{batch_size / ours:>12.2f}'
          f'{batch_size / theirs:>12.2f}{theirs / ours:>8.2f}')


def main():
    args = parse_args()
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    torch.manual_seed(0)
    clock = Clock(args)
    model = build(cfg, args.device)
    peer = PlainDiffusers(model.backbone)
    batch = make_batch(args, model)
    device = (torch.cuda.get_device_name() if clock.cuda
              else f'CPU, {torch.get_num_threads()} threads')
    print(f'{args.config}\n{device}, torch {torch.__version__}, '
          f'{args.dtype}, batch {args.batch_size}, '
          f'{args.shape[0]} x {args.shape[1]}, median of {args.iters}')
    show('inference', time_inference(model, peer, batch, clock),
         args.batch_size, clock.cuda)
    step_seconds = None
    if args.train:
        rows = time_training(model, peer, batch, clock)
        show('training', rows, args.batch_size, clock.cuda)
        step_seconds = rows['train'][0]
    if args.loader:
        time_loader(cfg, args, step_seconds)


if __name__ == '__main__':
    main()
