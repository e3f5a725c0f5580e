"""Models as files that run without this package."""
import inspect
import json
import os
import os.path as osp
import shutil
import tempfile
import time
from statistics import median

import torch
import torch.nn.functional as F
from torch import nn

from genpercept_mm.models.utils.folding import switch_to_deploy
from genpercept_mm.models.utils.free_pool import use_free_pools
from genpercept_mm.utils.arguments import check_choice
from genpercept_mm.utils.plain import to_plain

SUFFIXES = ('.pt2', '.onnx')
# diffusers' up-samplers treat larger batches differently
LARGEST_BATCH = 63
# A file is refused if more than this share of its pixels differs by more than
# this share of the range. Rounding stays far below, except where short vectors
# are brought to unit length.
TOLERANCE = 1e-2


class ImageToMap(nn.Module):
    """A model from pictures to its quantity, with all before and after.

    Args:
        model (nn.Module): A dense estimator, mmseg's ``EncoderDecoder`` or
            mmpose's ``TopdownPoseEstimator``, with the weights. It is folded,
            see `switch_to_deploy`.

    Raises:
        ValueError: If the model is a detector, or its data preprocessor has
            no mean and deviation.
    """

    def __init__(self, model):
        super().__init__()
        preprocessor = model.data_preprocessor
        if not (hasattr(model, 'decode_head') or hasattr(model, 'head')):
            raise ValueError(
                f'export: a {type(model).__name__} gives neither a map nor '
                'heatmaps; MMDeploy exports detectors.')
        if not hasattr(preprocessor, 'mean'):
            raise ValueError(
                f'export: a {type(preprocessor).__name__} without mean and '
                'std cannot be exported; set both in data_preprocessor.')
        # channels_last pays on few devices and is not part of a file
        self.model = switch_to_deploy(model).to(
            memory_format=torch.contiguous_format)
        use_free_pools(self.model)
        for name in ('mean', 'std'):
            self.register_buffer(
                name, getattr(preprocessor, name).float().view(1, -1, 1, 1))
        # pipelines load BGR, which the preprocessor turns into RGB, or not
        self.takes_bgr = not getattr(
            preprocessor, 'channel_conversion',
            getattr(preprocessor, '_channel_conversion', True))
        self.codec = getattr(model, 'codec', None)
        protocol = getattr(model, 'protocol', None)
        self.takes_noise = bool(getattr(protocol, 'stochastic', False))
        self.is_pose = not hasattr(model, 'decode_head')
        self.resizes = False

    @property
    def quantity(self):
        """str: Name of what `forward` gives."""
        if self.codec is not None:
            return self.codec.quantity
        return 'heatmaps' if self.is_pose else 'sem_seg'

    def facts(self):
        """Return what the values mean, as a dict of plain values."""
        facts = {} if self.codec is None else self.codec.facts()
        classes = (self.model.dataset_meta or {}).get(
            'classes') if hasattr(self.model, 'dataset_meta') else None
        if classes:
            facts = dict(facts, classes=tuple(classes))
        # the size at which the model's own pipeline runs, if it has one
        for step in getattr(self.model, 'cfg', {}).get('test_pipeline', ()):
            if step.get('long_edge'):
                facts = dict(facts, long_edge=step['long_edge'])
        return to_plain(dict(facts, quantity=self.quantity))

    def forward(self, image, noise=None):
        """Predict.

        Args:
            image (Tensor): (N, H, W, 3) uint8 RGB.
            noise (Tensor, optional): (N, 4, H / 8, W / 8) standard normal
                values that a diffusion starts from, if `takes_noise`.

        Returns:
            Tensor: (N, H, W) or (N, H, W, K) float32, class ids (N, H, W)
            int64, or heatmaps (N, K, h, w).
        """
        image = image.permute(0, 3, 1, 2)
        if self.takes_bgr:
            image = image.flip(1)
        x = (image.float() - self.mean) / self.std
        size = image.shape[2:]
        if self.codec is None:
            return self._without_codec(x, size)
        output = self.codec.condition(
            self._output(x, noise).float(), self.model.decode_head.bound)
        if self.resizes:
            output = F.interpolate(
                output, size, mode='bilinear', antialias=True)
        quantity = self.codec.decode(output)
        return (quantity[:, 0] if quantity.shape[1] == 1
                else quantity.permute(0, 2, 3, 1))

    def _output(self, x, noise):
        if not self.takes_noise:
            return self.model.encode_decode(x, None)
        latent = self.model.protocol.sample(
            self.model._velocity, self.model.backbone.encode(x), noise=noise,
            num_steps=self.model.num_steps)
        return self.model.decode_head.decode(latent)

    def _without_codec(self, x, size):
        features = self.model.extract_feat(x)
        if self.is_pose:
            return self.model.head.forward(features)
        head = self.model.decode_head
        logits = F.interpolate(
            head.forward(features).float(), size, mode='bilinear',
            align_corners=self.model.align_corners)
        if logits.shape[1] == 1:
            return (logits[:, 0].sigmoid() > head.threshold).long()
        return logits.argmax(1)


def export_model(model, path, size=None, report=print):
    """Write a model as ``.pt2`` (torch.export) or ``.onnx``.

    The file takes ``image``, and ``noise`` if the model starts from it, see
    `ImageToMap`: up to 63 pictures, whose height and width are multiples of 8
    from 72 on (of 64 from 128 on, if the head fuses features of different
    strides). Where these cannot vary, an error says so. The written file is
    run beside the model, ONNX on the CPU, before it gets its place.

    Args:
        model (nn.Module): From `init_model`; it is folded.
        path (str): File to write, with one of these suffixes.
        size (Sequence[int], optional): The only height and width that the
            file takes. Defaults to None (any).
        report (callable): Takes lines of progress. Defaults to ``print``.

    Returns:
        dict: ``facts`` about the quantity, ``multiple`` of the sizes (in the
        file, too), and as ``checks``, of each size that was tried,
        ``largest_difference``, relative to the range
        of the model's output (for class ids: the share of pixels that
        differ), and ``speed``, times that of the model in PyTorch.

    Raises:
        RuntimeError: If the file does not run, or gives something else.
        ValueError: If the suffix is another one, a size is no multiple of 8,
            or the model cannot be exported.
        ImportError: If a package for ONNX is missing.
    """
    check_target(path, size)
    for field in ('flip', 'ensemble_size'):
        if (model.test_cfg or {}).get(field, 1) not in (1, False, None):
            report(f'test_cfg.{field} is not part of the file, which predicts '
                   'once')
    if (model.test_cfg or {}).get('mode') == 'slide':
        report("test_cfg.mode='slide' is not part of the file, which takes "
               'whole pictures')
    network = ImageToMap(model).eval()
    begin = time.perf_counter()
    program, multiple = _trace(network, size)
    if size is None and multiple == 64 and path.endswith('.onnx'):
        raise ValueError('export: ONNX with a head that fuses features of '
                         'different strides, such as DPT, cannot take any '
                         'size yet; give a fixed size.')
    report(f'traced in {time.perf_counter() - begin:.0f} s, '
           + (f'any size that is a multiple of {multiple}' if size is None
              else f'{size[0]} x {size[1]}'))
    facts = dict(network.facts(), multiple=multiple)
    os.makedirs(osp.dirname(osp.abspath(path)), exist_ok=True)
    sizes = [size] if size is not None else [
        (multiple * high, multiple * wide) for high, wide in (
            (9, 10), (12, 16), (16, 9))]
    # whole, right, or not at all; and ONNX may write a second file
    with tempfile.TemporaryDirectory(
            dir=osp.dirname(osp.abspath(path)),
            ignore_cleanup_errors=True) as folder:
        written = osp.join(folder, osp.basename(path))
        _write(program, written, facts)
        report(f'written after {time.perf_counter() - begin:.0f} s')
        checks = _check(network, written, sizes, report)
        for name in sorted(os.listdir(folder), reverse=True):
            shutil.move(osp.join(folder, name), osp.join(
                osp.dirname(osp.abspath(path)), name))
    report(path)
    return dict(facts=facts, multiple=multiple, checks=checks)


def check_target(path, size=None):
    """Raise the errors of `export_model` that need no model."""
    check_choice('export', 'suffix', osp.splitext(path)[1], SUFFIXES)
    if size is not None and any(length % 8 for length in size):
        raise ValueError('export: height and width must be multiples of 8, '
                         f'got {tuple(size)}.')
    if path.endswith('.onnx'):
        _check_onnx()


def _check_onnx():
    missing = []
    for name in ('onnx', 'onnxscript', 'onnxruntime'):
        try:
            __import__(name)
        except ImportError:
            missing.append(name)
    if missing:
        raise ImportError(f'export: ONNX needs {", ".join(missing)}; install '
                          "with: pip install 'genpercept_mm[export]'")


@torch.no_grad()
def _trace(network, size):
    """Export with fixed or free sizes; return also what divides them."""
    if size is not None:
        example = _example(network, 1, size)
        network.resizes = _changes_size(network, example)
        return torch.export.export(network, example, strict=False), 8
    errors = []
    for multiple in (8, 64):
        smallest = 9 if multiple == 8 else 2
        batch = torch.export.Dim('batch', min=1, max=LARGEST_BATCH)
        high, wide = (
            torch.export.Dim(name, min=smallest, max=8192 // multiple)
            for name in ('high', 'wide'))
        shapes = dict(image={0: batch, 1: multiple * high, 2: multiple * wide})
        if network.takes_noise:
            shapes['noise'] = {0: batch, 2: high * (multiple // 8),
                               3: wide * (multiple // 8)}
        example = _example(network, 2, (
            multiple * (17 if multiple == 8 else 3),
            multiple * (25 if multiple == 8 else 5)))
        network.resizes = _changes_size(network, example)
        try:
            program = torch.export.export(
                network, example, dynamic_shapes=shapes, strict=False)
        except Exception as error:  # torch raises many kinds
            errors.append(error)
            continue
        if _takes(program, network, multiple):
            return program, multiple
    reason = f' ({errors[-1]})' if errors else ''
    raise ValueError('export: the sizes of this model cannot vary'
                     f'{reason[:400]}; give a fixed size.')


def _changes_size(network, example):
    """Tell whether a head's output has another size than the image."""
    network.resizes = False
    return not network.is_pose and (
        network(*example).shape[1:3] != example[0].shape[1:3])


def _takes(program, network, multiple):
    """Tell whether a program takes all sizes, which its guards may forbid."""
    run = program.module()
    smallest = 72 if multiple == 8 else 128
    for batch, height, width in ((1, 0, 1), (3, 1, 0), (1, 3, 5)):
        inputs = _example(network, batch, (
            smallest + height * multiple, smallest + width * multiple))
        try:
            run(*inputs)
        except (AssertionError, RuntimeError):
            return False
    return True


def _example(network, batch, size):
    generator = torch.Generator().manual_seed(0)
    device = network.mean.device
    image = torch.randint(0, 256, (batch, *size, 3), dtype=torch.uint8,
                          generator=generator).to(device)
    if not network.takes_noise:
        return (image, )
    channels = network.model.backbone.vae.config.latent_channels
    return image, torch.randn(
        batch, channels, size[0] // 8, size[1] // 8,
        generator=generator).to(device)


def _write(program, path, facts):
    if path.endswith('.pt2'):
        torch.export.save(program, path, extra_files={
            'facts.json': json.dumps(facts)})
        return
    import onnx
    names = list(inspect.signature(ImageToMap.forward).parameters)[1:]
    exported = torch.onnx.export(
        program, (), dynamo=True, verbose=False,
        input_names=names[:len(program.graph_signature.user_inputs)],
        output_names=[facts['quantity']])
    exported.model.metadata_props['genpercept'] = json.dumps(facts)
    exported.save(path, external_data=None)
    onnx.checker.check_model(path)


def _runner(path):
    """Return a function that runs a file on arrays."""
    if path.endswith('.pt2'):
        program = torch.export.load(path).module()
        return lambda *inputs: program(*inputs).detach().cpu()
    import onnxruntime
    session = onnxruntime.InferenceSession(path)
    names = [given.name for given in session.get_inputs()]

    def run(*inputs):
        return torch.from_numpy(session.run(None, {
            name: value.cpu().numpy()
            for name, value in zip(names, inputs)})[0])

    return run


def _check(network, path, sizes, report):
    """Run a file beside the model, at these sizes."""
    run, checks = _runner(path), []
    for index, size in enumerate(sizes):
        batch = 1 + index % 2
        try:
            check = _compare(network, run, size, batch)
        except Exception as error:  # runtimes raise many kinds
            raise RuntimeError(
                f'export: the file does not run at {size[0]} x {size[1]}, '
                'so it was not kept; give another fixed size, or another '
                f'format ({str(error)[:400]}).') from error
        report(f'{size[0]} x {size[1]}, batch {batch}: largest difference '
               f'{check["largest_difference"]:.2g}, {check["speed"]:.2f} '
               'times as fast as PyTorch')
        if not check.pop('wrong') < TOLERANCE:
            raise RuntimeError(
                f'export: at {size[0]} x {size[1]}, the file gives something '
                'else than the model, so it was not kept; give another fixed '
                'size, or another format.')
        checks.append(check)
    return checks


@torch.no_grad()
def _compare(network, run, size, batch):
    inputs = _example(network, batch, size)
    expected, given = network(*inputs).cpu(), run(*inputs)
    if expected.is_floating_point():
        span = (expected.max() - expected.min()).clamp(min=1e-12)
        differences = (given - expected).abs()
        difference = float(differences.max() / span)
        # a constant map has no range
        allowed = TOLERANCE * torch.maximum(span, expected.abs().max())
        wrong = 1 - float((differences <= allowed).float().mean())
    else:
        difference = wrong = float((given != expected).float().mean())
    seconds = [[_seconds(function, inputs) for function in (network, run)]
               for _ in range(3)]
    return dict(size=list(size), batch=batch, largest_difference=difference,
                wrong=wrong, speed=median(
                    ours / theirs for ours, theirs in seconds))


def _seconds(function, inputs):
    begin = time.perf_counter()
    function(*inputs)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin
