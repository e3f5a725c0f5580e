"""Time a model part by part beside its peer."""
import torch
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData

import genpercept_mm  # noqa: F401, compat acts before the host's models

from .clock import Clock
from .plain_diffusers import LATENT

UP_BLOCKS = (0, 1, 2, 3)


def build_model(cfg, device):
    """Build a config's model with random weights: speed ignores them.

    Args:
        cfg (Config): With an SDUNet; its ``pretrained`` are set to None.
        device (str): Where the model shall be.

    Returns:
        nn.Module: The model.

    Raises:
        ValueError: If `PlainDiffusers` cannot compute what its backbone
            computes.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    cfg.model.backbone.pretrained = None
    if 'pretrained' in cfg.model.decode_head:
        cfg.model.decode_head.pretrained = None
    backbone = cfg.model.backbone
    indices = tuple(backbone.get('out_indices', UP_BLOCKS))
    kind = backbone.get('feature_type', 'post_upsample')
    if (indices not in (UP_BLOCKS, LATENT) or kind != 'post_upsample'
            or backbone.get('lora_rank', 0)):
        raise ValueError(
            'benchmark.py compares with plain diffusers, which does not have '
            'LoRA and gives either the latent or all four up blocks after '
            f'their up-samplers; set out_indices={UP_BLOCKS} or {LATENT}, '
            "feature_type='post_upsample' and lora_rank=0.")
    return MODELS.build(cfg.model).to(device)


def make_batch(model, batch_size, shape):
    """Draw images and labels for a model.

    Args:
        model (BaseModel): A dense estimator or a segmentor.
        batch_size (int): Number of images.
        shape (Sequence[int]): (H, W) of the images.

    Returns:
        dict: ``inputs`` and ``data_samples``, as a data loader gives them.
    """
    from mmseg.structures import SegDataSample
    height, width = shape
    images = torch.randint(0, 256, (batch_size, 3, height, width),
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


def time_inference(model, peer, batch, clock, repeats, warmup):
    """Time the stem, the U-Net, the head and all of them.

    Args:
        model (BaseModel): From `build_model`.
        peer (PlainDiffusers): The same backbone in plain diffusers.
        batch (dict): From `make_batch`.
        clock (Clock): Measures on the device of the model.
        repeats (int): Number of timed calls.
        warmup (int): Number of calls before those.

    Returns:
        dict[str, list[float]]: Seconds of each part, and ``memory`` in GiB;
        ours, then the peer's where it has the part too.
    """
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
        rows = {name: clock.compare(functions, repeats, warmup)
                for name, functions in parts.items()}
    return dict(rows, memory=memory)


def time_training(model, peer, batch, clock, repeats, warmup):
    """Time training iterations: forward, losses, backward, optimizer step.

    The peer's are a hand-written loop with the same heads and losses.

    Args:
        model (BaseModel): From `build_model`.
        peer (PlainDiffusers): The same backbone in plain diffusers.
        batch (dict): From `make_batch`.
        clock (Clock): Measures on the device of the model.
        repeats (int): Number of timed iterations.
        warmup (int): Number of iterations before those.

    Returns:
        dict[str, list[float]]: ``train``, seconds of ours and of the peer's
        iteration, and ``memory`` in GiB.
    """
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
        clock.device.type, enabled=clock.dtype is torch.float16)

    def step_with(loss_function):

        def step():
            optimizer.zero_grad()
            loss, _ = model.parse_losses(loss_function())
            # the backward pass belongs outside autocast
            with torch.autocast(clock.device.type, enabled=False):
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()

        return step

    steps = (step_with(lambda: model.loss(x, samples)),
             step_with(lambda: losses_of(peer.train())))
    memory = [clock.peak(step) for step in steps]
    return dict(train=clock.compare(steps, repeats, warmup), memory=memory)


def time_loader(loader, repeats, warmup):
    """Measure how fast a data loader is.

    Args:
        loader (DataLoader): Loads the training data.
        repeats (int): Number of timed batches.
        warmup (int): Number of batches before those.

    Returns:
        float: Images per second.
    """
    batches = iter(loader)

    def load(count):
        sizes.extend(len(next(batches)['inputs']) for _ in range(count))

    sizes = []
    load(warmup)
    seconds = Clock('cpu').seconds(lambda: load(repeats))
    return sum(sizes[warmup:]) / seconds
