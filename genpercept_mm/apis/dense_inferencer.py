"""From photographs to maps."""
import logging
import os.path as osp
import time
from collections import defaultdict
from math import prod
from numbers import Integral

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.dataset import pseudo_collate
from mmengine.infer import BaseInferencer
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from genpercept_mm.models.utils.folding import switch_to_deploy
from genpercept_mm.registry import TRANSFORMS
from genpercept_mm.utils.arrays import channels_last, to_numpy
from genpercept_mm.visualization.dense_local_visualizer import paint

from .clips import Clips
from .inputs import Inputs, Names
from .low_memory import save_memory
from .metric_scale import MetricScale
from .model_loading import find_device, init_model
from .outputs import check_kinds, write_metres, write_result
from .precision import find_dtype, use_precision

# Working sizes above this are cut into tiles of half of it
LARGEST, SMALLEST_TILE = 1536, 64
DEFAULT_RESIZE = dict(type='genpercept_mm.DenseResize', long_edge=768)


class DenseInferencer(BaseInferencer):
    """Predict maps for photographs of any size and format.

    Args:
        model (str | Config | dict): The name of a published model, see
            `list_models`, a config or its file, a checkpoint that holds its
            config (those of trainings and converters do), or a folder of
            weights: a GenPercept release, Marigold, Lotus or E2E-FT.
        weights (str, optional): Checkpoint for a config.
        device (str, optional): For example ``'cuda:0'`` or ``'cpu'``. None
            takes the best one there is.
        dtype (str | torch.dtype, optional): ``'fp32'``, ``'fp16'`` or
            ``'bf16'``, in which the network runs; results are float32. None
            takes bf16 on GPUs that have it, and fp32 otherwise.
        show_progress (bool): Defaults to True.
        task (str, optional): What a folder of weights predicts, where it does
            not say it.
        deploy (bool): Fold prompt, timestep and other constants into the
            weights, which is faster and the same to rounding. Defaults to
            False.
        low_memory (bool): Run the VAE in strips and, on GPUs, bring parts
            there by turns, which is slower and the same to rounding, see
            `save_memory`. Defaults to False.

    Attributes:
        quantity (str): What is predicted: ``'depth'``, ``'disparity'``,
            ``'normal'``, ``'alpha'`` or ``'sem_seg'``.

    Raises:
        FileNotFoundError: If a file or folder does not exist.
        RuntimeError: If the weights do not fit the config.
        ValueError: If there are no weights, the model gives no map (pose,
            detection), or an argument is outside its set.

    Examples:
        >>> inferencer = DenseInferencer('work_dirs/depth/best_abs_rel.pth')
        >>> result = inferencer('photo.jpg')
        >>> result['depth'].shape, result['near']
        ((480, 640), 0.0)
    """

    def __init__(self, model, weights=None, device=None, dtype=None,
                 show_progress=True, task=None, deploy=False,
                 low_memory=False):
        self.device, self.low_memory = find_device(device), low_memory
        self.model = init_model(
            model, weights, 'cpu' if low_memory else self.device, task)
        if not hasattr(self.model, 'decode_head'):
            raise ValueError(
                f'DenseInferencer: a {type(self.model).__name__} gives no '
                'map; use the inferencer of its library, MMPoseInferencer or '
                'DetInferencer.')
        if deploy:
            switch_to_deploy(self.model)
        self.cfg = self.model.cfg
        self.scope = self.cfg.get('default_scope') or 'mmseg'
        self.show_progress = show_progress
        self.dtype = find_dtype(dtype, self.device)
        self._precision = use_precision(self.model, self.dtype, self.device)
        if low_memory:
            save_memory(self.model, self.device)
        self.codec = getattr(self.model, 'codec', None)
        self.quantity = 'sem_seg' if self.codec is None else (
            self.codec.quantity)
        self._steps = _label_free(self.cfg)
        self.pipeline = self._init_pipeline(self.cfg)
        _compare_sizes(self.cfg, self._steps)
        self.collate_fn = pseudo_collate
        self.visualizer = None
        self._batch_limit = self._tile_limit = self._too_many_pixels = None
        # by the output folder: no call overwrites files of an earlier one
        self._names = defaultdict(Names)

    def __call__(self, inputs, batch_size=1, **kwargs):
        """Predict, and return all results.

        Args:
            inputs: See `genpercept_mm.apis.inputs.Inputs`.
            batch_size (int): Images of one working size that run together.
                Defaults to 1.
            **kwargs: See `stream`.

        Returns:
            dict | list[dict]: The result of an image, or those of several, of
            a folder, a pattern, a video or a batch; see `stream`.
        """
        items = self._inputs(inputs, kwargs.get('channel_order', 'bgr'),
                             kwargs.get('out_dir'),
                             kwargs.get('skip_errors', False))
        results = list(self.stream(items, batch_size, **kwargs))
        return results[0] if items.single else results

    def _inputs(self, inputs, channel_order, out_dir, skip_errors):
        if isinstance(inputs, Inputs):
            return inputs
        names = None if out_dir is None else self._names[
            osp.realpath(out_dir)]
        return Inputs(inputs, channel_order, names, out_dir, skip_errors)

    def stream(self, inputs, batch_size=1, size=None, tile=None, out_dir=None,
               save=('picture', 'png16'), return_picture=False,
               skip_errors=False, channel_order='bgr', align_frames=None,
               calibrate=None, focal=None):
        """Predict, and yield one result after another, in constant memory.

        Args:
            inputs: See `genpercept_mm.apis.inputs.Inputs`.
            batch_size (int): See `__call__`.
            size (int | str, optional): Length in pixels of the longer edge at
                which the network runs, or ``'native'`` for that of the image.
                None takes the rule of the weights.
            tile (int, optional): Side in pixels of overlapping tiles, at the
                working size. None uses tiles where an edge is longer than
                1536 pixels, unless ``low_memory``, and 0 never does.
            out_dir (str, optional): Folder for files; sub-folders are kept.
            save (str | Sequence[str]): Files to write: ``'picture'``,
                ``'png16'``, ``'npy'``, ``'exr'``, ``'tiff'``, and of videos
                ``'video'``, image and map side by side. Defaults to
                ('picture', 'png16').
            return_picture (bool): Add ``picture`` to results. Defaults to
                False.
            skip_errors (bool): Yield dicts with ``path`` and ``error`` for
                what is not there or cannot be read, and ``error`` beside the
                map where the calibration failed, or ``save`` is ``'video'``
                and the input an image, instead of raising. Defaults to False.
            channel_order (str): Order of the channels of arrays, ``'bgr'`` or
                ``'rgb'``. Defaults to 'bgr', as mmcv reads files.
            align_frames (float, optional): Draw the frames of a video with
                one scale and shift, see ``filter`` of `ClipAlignment`; results
                have them as ``scale`` and ``shift``. For depth and disparity.
            calibrate (Calibration | MetricScale | str, optional): Known
                distances, or scale and shift from them, see `MetricScale`;
                results have ``metres`` (H, W) float32 and ``calibration``,
                and ``out_dir`` gets both.
            focal (float, optional): Focal length in pixels of the images;
                with ``calibrate`` and ``out_dir``, point clouds are written
                as PLY: x right, y down, z forward, in metres.

        Yields:
            dict: The map under the name of its quantity, (H, W) float32 for
            ``depth``, ``disparity`` and ``alpha``, (H, W, 3) float32 for
            ``normal``, (H, W) integer for ``sem_seg``; what its values mean
            (``range``, ``near``, ``axes``, ``classes`` ...); and what was
            done: ``path``, ``name``, ``input_size`` and ``working_size``
            (height, width), ``rule``, ``seconds`` for the image, ``notes``,
            and ``files``.

        Raises:
            FloatingPointError: If a prediction is NaN or infinite.
            OSError: If a file cannot be read or written.
            ValueError: If an argument is outside its set.
        """
        kinds = check_kinds(save)
        if batch_size < 1:
            raise ValueError('DenseInferencer: batch_size must be at least 1, '
                             f'got {batch_size}.')
        if align_frames is not None and not getattr(
                self.codec, 'affine_invariant', False):
            raise ValueError('DenseInferencer: align_frames is for depth and '
                             f'disparity, not for {self.quantity}.')
        if focal is not None and (
                calibrate is None or out_dir is None or not focal > 0):
            raise ValueError(
                'DenseInferencer: focal must be positive, in pixels, and '
                'needs calibrate, which gives metres, and out_dir for the '
                f'point clouds; got {focal}.')
        if calibrate is not None:
            if not isinstance(calibrate, MetricScale):
                calibrate = MetricScale(calibrate)
            calibrate.check(self.quantity)
        tile = _check_tile(
            0 if tile is None and self.low_memory else tile)
        pipeline, rule = self._pipeline_of(size)
        items = self._inputs(inputs, channel_order, out_dir, skip_errors)
        results = self._track(self._predict_all(
            items, batch_size, pipeline, rule, tile, skip_errors),
            items.total)
        drawn = (out_dir is not None or return_picture
                 or align_frames is not None)
        clips = Clips(out_dir if 'video' in kinds else None, align_frames)
        with clips:
            for result in results:
                image = result.pop('image', None)
                if image is not None and kinds == ('video', ) and (
                        result.get('video') is None):
                    problem = (
                        "DenseInferencer: save='video' writes nothing of an "
                        f'image such as {result["name"]}; add another kind.')
                    if not skip_errors:
                        clips.finish()
                        raise ValueError(problem)
                    result['error'] = problem
                if image is not None and calibrate is not None:
                    _add_metres(result, calibrate, skip_errors)
                if image is not None and drawn:
                    picture = self.draw(image, clips.shown(result))
                    video = clips.add(result, image, picture)
                    if return_picture:
                        result['picture'] = picture
                    if out_dir is not None:
                        result['files'] = write_result(
                            result, picture, out_dir, kinds)
                        if video is not None:
                            result['files']['video'] = video
                        if 'metres' in result:
                            result['files'].update(write_metres(
                                result, image[..., ::-1], out_dir, focal))
                yield result

    def draw(self, image, result):
        """Draw a result as (H, W, 3) uint8 RGB; ``image`` is (H, W, 3) uint8
        BGR."""
        values, rgb = result[self.quantity], image[..., ::-1]
        if self.codec is not None:
            return paint(self.codec, rgb, values)
        palette = self.model.dataset_meta.get('palette')
        if not palette:  # mmseg's colours for classes without
            palette = np.random.RandomState(42).randint(
                0, 255, (int(values.max()) + 1, 3))
        palette = np.asarray(palette, np.uint8)
        colors = palette[np.minimum(values, len(palette) - 1)]
        return np.round(rgb * .5 + colors * .5).astype(np.uint8)

    # -- the steps of mmengine's BaseInferencer -------------------------------

    def _init_pipeline(self, cfg):
        return self._pipeline_of(None)[0]

    def visualize(self, inputs, preds, return_picture=False):
        """Draw results; ``inputs`` are images (H, W, 3) uint8 BGR."""
        return [self.draw(image, result)
                for image, result in zip(inputs, preds)
                ] if return_picture else None

    def postprocess(self, preds, visualization, return_datasample=False,
                    out_dir=None, save=('picture', 'png16')):
        """Write the files of results."""
        if out_dir is not None:
            for result, picture in zip(preds, visualization):
                write_result(result, picture, out_dir, check_kinds(save))
        return preds

    # -- predicting -----------------------------------------------------------

    def _track(self, results, total):
        if not self.show_progress or total == 1:
            return results
        from rich.progress import track
        return track(results, 'Inference', total)

    def _pipeline_of(self, size):
        """Build the steps after loading, and name the rule of the size."""
        steps = list(self._steps)
        if size is not None:
            if size != 'native' and not (
                    isinstance(size, Integral) and size > 0):
                raise ValueError('DenseInferencer: size must be a positive '
                                 f"integer or 'native', got {size!r}.")
            steps = [step for step in steps if not _resizes(step)]
            if size != 'native':
                resize = next(filter(_resizes, self._steps), DEFAULT_RESIZE)
                if not _kind(resize) == 'DenseResize':
                    resize = DEFAULT_RESIZE
                steps.insert(0, dict(
                    {key: value for key, value in resize.items()
                     if key != 'scale'}, long_edge=int(size)))
        rule = next((_rule(step) for step in steps if _resizes(step)),
                    'size of the image')
        with DefaultScope.overwrite_default_scope(self.scope):
            return Compose([TRANSFORMS.build(step) for step in steps]), rule

    def _pack(self, image, item, pipeline):
        shape = image.shape[:2]
        with DefaultScope.overwrite_default_scope(self.scope):
            return pipeline(dict(
                img=image, img_path=item.path or item.name, img_shape=shape,
                ori_shape=shape))

    def _predict_all(self, items, batch_size, pipeline, rule, tile, skip):
        """Yield results in the order of the inputs; a few are read ahead, so
        that images of one size meet in a batch."""
        waiting = []
        for item in items:
            begin = time.perf_counter()
            try:
                image = item.read()
                packed = self._pack(image, item, pipeline)
            except (OSError, TypeError, ValueError) as error:
                if item.late and not skip:
                    print_log(str(error), 'current', logging.WARNING)
                    continue
                if not skip:
                    raise
                image, packed = None, str(error)
            seconds = time.perf_counter() - begin
            waiting.append((item, image, packed, seconds))
            if len(waiting) >= batch_size * (4 if batch_size > 1 else 1):
                yield from self._predict_some(
                    waiting, batch_size, rule, tile, skip)
                waiting = []
        yield from self._predict_some(waiting, batch_size, rule, tile, skip)

    def _predict_some(self, waiting, batch_size, rule, tile, skip):
        results, groups = {}, {}
        for index, (item, image, packed, seconds) in enumerate(waiting):
            if image is None:
                results[index] = dict(path=item.path, name=item.name,
                                      error=packed)
            else:
                groups.setdefault(tuple(packed['inputs'].shape), []).append(
                    index)
        for indices in groups.values():
            for start in range(0, len(indices), batch_size):
                some = indices[start:start + batch_size]
                begin = time.perf_counter()
                samples, notes = self._run(
                    [waiting[index][2] for index in some], tile)
                each = (time.perf_counter() - begin) / len(some)
                for index, sample in zip(some, samples):
                    item, image, packed, seconds = waiting[index]
                    try:
                        results[index] = self._result(
                            item, image, packed, sample, rule,
                            seconds + each, notes)
                    except ArithmeticError as error:
                        if not skip:
                            raise
                        results[index] = dict(
                            path=item.path, name=item.name, error=str(error))
        for index in range(len(waiting)):
            yield results[index]

    def _run(self, batch, tile):
        """Predict a batch; on a lack of memory, in halves, then in tiles.
        Return the data samples and what had to be done."""
        edge = max(batch[0]['inputs'].shape[1:])
        if tile is None:
            tile = LARGEST // 2 if edge > LARGEST else 0
        pixels = prod(batch[0]['inputs'].shape[1:])
        if self._tile_limit and (not tile or tile > self._tile_limit) and (
                pixels >= self._too_many_pixels):
            tile = self._tile_limit
        limit = self._batch_limit or len(batch)
        samples, notes = [], []
        if tile and tile < edge:
            notes.append(f'tiles of {tile}')
        for start in range(0, len(batch), limit):
            part = batch[start:start + limit]
            try:
                samples += self._forward(part, tile if tile < edge else 0)
                continue
            except (RuntimeError, MemoryError) as error:
                if not _lacks_memory(error):
                    raise
                problem = str(error).split('\n')[0]
            # outside of the handler, which would keep the tensors alive
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if len(part) > 1:
                self._batch_limit = len(part) // 2
                note = f'batches of {self._batch_limit}, for lack of memory'
            else:
                smaller = max((tile or edge) // 2 // 8 * 8, SMALLEST_TILE)
                if tile and smaller >= tile:
                    raise RuntimeError(
                        f'{batch[0]["data_samples"].get("img_path")}: memory '
                        f'does not suffice for tiles of {tile} pixels '
                        f'({problem}); set a smaller size.')
                # smaller images may still run whole, as in another order
                self._too_many_pixels = min(
                    pixels, tile**2 or pixels,
                    self._too_many_pixels or pixels)
                self._tile_limit = tile = smaller
                note = f'tiles of {tile}, for lack of memory'
            print_log(f'DenseInferencer: {note}', logger='current',
                      level=logging.WARNING)
            rest, more = self._run(batch[start:], tile)
            return samples + rest, notes + [note] + [
                text for text in more if text not in (
                    *notes, note, f'tiles of {tile}')]
        return samples, notes

    @torch.no_grad()
    def _forward(self, batch, tile):
        before = self.model.test_cfg
        if tile:
            stride = max(tile * 3 // 4, 1)
            self.model.test_cfg = type(before)(
                before, mode='slide', crop_size=(tile, tile),
                stride=(stride, stride))
        try:
            with self._precision():
                samples = self.model.test_step(self.collate_fn(batch))
            if self.dtype == torch.float16 and not all(
                    self._is_finite(sample) for sample in samples):
                print_log(
                    'DenseInferencer: overflow in float16; the images are '
                    'predicted again in float32', logger='current',
                    level=logging.WARNING)
                samples = self.model.test_step(self.collate_fn(batch))
            return samples
        finally:
            self.model.test_cfg = before

    def _is_finite(self, sample):
        """Tell whether a prediction has neither NaN nor infinite values."""
        if self.quantity != 'sem_seg':
            return bool(np.isfinite(self._values(sample)).all())
        if 'seg_logits' in sample:
            return bool(sample.seg_logits.data.isfinite().all())
        # what the codec gives where it has no number
        return not (sample.pred_sem_seg.data == self.codec.ignore_index
                    ).any()

    def _values(self, sample):
        """Return the map of a data sample, (C, H, W)."""
        return to_numpy(sample.get(f'pred_{self.quantity}' + (
            '' if self.quantity == 'sem_seg' else '_map')))

    def _result(self, item, image, packed, sample, rule, seconds, notes):
        values = channels_last(self._values(sample))
        if not self._is_finite(sample):
            raise FloatingPointError(
                f'{item.path or item.name}: the prediction has values that '
                'are NaN or infinite; check the weights'
                + (', or set dtype fp32.' if self.dtype != torch.float32
                   else '.'))
        if self.quantity == 'sem_seg':
            classes = self.model.dataset_meta.get('classes')
            facts = dict(classes=tuple(classes or ()) or None)
            values = values.astype(np.int32)
        else:
            facts = self.codec.facts()
            values = np.ascontiguousarray(values, np.float32)
        return {
            'path': item.path, 'name': item.name, 'stem': item.stem,
            'quantity': self.quantity,
            self.quantity: values, **facts, 'input_size': image.shape[:2],
            'working_size': tuple(packed['inputs'].shape[1:]), 'rule': rule,
            'seconds': seconds, 'notes': list(notes), 'image': image,
            **({} if item.video is None else dict(
                video=item.video, frame=item.frame, fps=item.fps))}


def _check_tile(tile):
    """Return a tile that the network's stride divides."""
    if tile is None or tile == 0:
        return tile
    if not (isinstance(tile, Integral) and tile >= SMALLEST_TILE):
        raise ValueError('DenseInferencer: tile must be 0, for none, or at '
                         f'least {SMALLEST_TILE} pixels, got {tile!r}.')
    return int(tile) // 8 * 8


def _add_metres(result, scale, skip_errors):
    """Calibrate a result; a failure is noted, or raised."""
    try:
        found = scale.of(result)
        result.update(calibration=found, metres=found.apply(result))
    except (OSError, ValueError) as error:
        if not skip_errors:
            raise
        result['error'] = str(error)
        return
    unknown = np.isnan(result['metres']).mean()
    if unknown:
        result['notes'].append(
            f'no distance for {unknown:.0%} of the pixels, where the line '
            'through the known points leaves 1 mm to 1 km')


def _kind(step):
    return str(getattr(step['type'], '__name__', step['type'])).split('.')[-1]


def _resizes(step):
    return 'Resize' in _kind(step)


def _label_free(cfg):
    """List the steps of a config's test pipeline without those that load
    images and labels, which an inferencer does itself."""
    steps = cfg.get('test_pipeline')
    if steps is None:
        data = (cfg.get('test_dataloader') or {}).get('dataset') or {}
        steps = data.get('pipeline')
    if steps is None:
        dense = 'decode_head' in cfg.model and 'codec' in cfg.model.decode_head
        pack = ('genpercept_mm.PackDenseInputs' if dense else
                'mmseg.PackSegInputs')
        return [DEFAULT_RESIZE, dict(type=pack)]
    return [dict(step) for step in steps
            if not _kind(step).startswith('Load')]


def _compare_sizes(cfg, steps):
    """Say where photographs run at another size than those of the config's
    validation, whose scores are known."""
    dataset = (cfg.get('val_dataloader') or {}).get('dataset') or {}
    validated = dataset.get('pipeline')
    if not validated or 'test_pipeline' not in cfg:
        return
    ours, theirs = (next((_rule(step) for step in part if _resizes(step)),
                         'size of the image') for part in (steps, validated))
    if ours != theirs:
        print_log(
            f"DenseInferencer: images run at test_pipeline's size ({ours}), "
            f'and the validation of this config ran at another ({theirs}); '
            'size= (--size) or test_pipeline of the config change that.',
            'current', logging.WARNING)


def _rule(step):
    kind = _kind(step)
    if step.get('long_edge'):
        return f'longer edge {step["long_edge"]}'
    scale = step.get('scale')
    if scale is None:
        return kind
    keeps = kind != 'DenseResize' and step.get('keep_ratio')
    width, height = scale
    return f'{"within " if keeps else ""}{width} x {height}'


def _lacks_memory(error):
    text = str(error).lower()
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        'out of memory' in text or "can't allocate memory" in text)
