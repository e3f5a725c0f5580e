"""A segmentor for any dense quantity, predicted in one step."""
import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix

from genpercept_mm.diffusion import build_protocol
from genpercept_mm.registry import MODELS
from genpercept_mm.utils.arguments import check_choice
from genpercept_mm.utils.plain import to_plain

from ..backbones import SDUNet
from ..heads import VAEDecodeHead
from ..utils.latent_mask import latent_mask
from ..utils.window_alignment import align_windows, blend_weights

RESIZES = {
    'antialias': dict(mode='bilinear', antialias=True),
    'bilinear': dict(mode='bilinear'),
    'nearest-exact': dict(mode='nearest-exact')
}
# fields of test_cfg that belong to sampling in several steps
SAMPLING_FIELDS = ('num_steps', 'ensemble_size', 'seed', 'uncertainty')


@MODELS.register_module()
class DenseEstimator(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` with a dense head and its codec.

    The estimator runs one deterministic step (paper, section 3): backbone,
    optional neck, head, codec. Predictions are data samples with
    ``pred_<quantity>_map`` (mmseg's ``pred_sem_seg`` for classes), a
    (K, H, W) tensor at the size of the original image, beside the ``gt_*``
    fields of the input.

    As in the official pipeline, images are not padded: if those of a batch
    differ in size, they are run one by one. The head's output is brought
    into [-1, 1], resized once from the network's size to the original one
    (bilinear, antialiased), and decoded at that size.

    ``test_cfg`` has mmseg's fields:

    - ``mode``: ``'whole'``, or ``'slide'`` with ``crop_size`` and ``stride``
      (height, width). Windows are blended with weights that decrease towards
      their borders; windows of affine-invariant quantities are first aligned
      with each other by the spread and mean of their overlaps.
    - ``flip``: Predict the mirrored image too, and average both, or where
      the codec's ``ensembling`` is None, ``select`` from both; likewise, each
      pixel then comes from one window. Default False.
    - ``pad_divisor``: Repeat the image's edges at the right and bottom up to
      multiples of this, as diffusers' Marigold pipelines do with 8; the rest
      is cut off again. Default None: the VAE drops what is left over.
    - ``resize``: How outputs get the original size: ``'antialias'`` (bilinear
      with antialiasing, as the official code), ``'bilinear'`` (diffusers'
      Marigold) or ``'nearest-exact'`` (Lotus). Default ``'antialias'``.

    Args:
        backbone (dict): For example `SDUNet`.
        decode_head (dict): `VAEDecodeHead`, `DPTDecodeHead` or another head
            with a codec, such as a subclass of `BaseDenseHead`.
        test_cfg (dict, optional): See above. Defaults to None ('whole').
        protocol (str | dict): A protocol of one step. With another one, or
            with fields of sampling in ``test_cfg``, a
            `LatentDiffusionEstimator` is built instead. Defaults to
            'one_step'.
        **kwargs: Other arguments of mmseg's ``EncoderDecoder``. An
            ``auxiliary_head`` needs mmseg's labels.

    Raises:
        TypeError: If the head has no codec.
        ValueError: If ``test_cfg`` has other fields or values, or the
            backbone does not fit the protocol or the head.
    """

    # for tools: flips are requested by test_cfg.flip, not by a TTA model
    flips_by_test_cfg = True
    test_fields = ('mode', 'crop_size', 'stride', 'flip', 'pad_divisor',
                   'resize')

    def __new__(cls, *args, protocol='one_step', test_cfg=None, **kwargs):
        if cls is DenseEstimator and (
                not build_protocol(protocol).is_one_step
                or isinstance(test_cfg, dict)
                and set(test_cfg).intersection(SAMPLING_FIELDS)):
            # looked up by name, as that class is a subclass of this one
            cls = MODELS.get('genpercept_mm.LatentDiffusionEstimator')
            print_log(
                'DenseEstimator predicts in one step, so this protocol and '
                f'test_cfg build a {cls.__name__}. Set '
                f"model.type='genpercept_mm.{cls.__name__}'.",
                logger='current')
        return super().__new__(cls)

    def __init__(self, backbone, decode_head, *, test_cfg=None,
                 protocol='one_step', **kwargs):
        test_cfg = dict(dict(mode='whole', flip=False), **(test_cfg or {}))
        super().__init__(backbone, decode_head, test_cfg=test_cfg, **kwargs)
        self.dataset_meta = {}
        self.protocol = build_protocol(protocol)
        self._check_test_cfg()
        self._check_backbone()

    @property
    def dataset_meta(self):
        """dict: Meta information of the training data, which mmseg's
        ``init_model`` sets. It always has ``classes``, which data sets of
        quantities do not name."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, meta):
        self._dataset_meta = dict(dict(classes=(), palette=()), **(meta or {}))

    @property
    def _name(self):
        return type(self).__name__

    @property
    def _has_latent_loss(self):
        return getattr(self.decode_head, 'loss_latent', None) is not None

    def _check_test_cfg(self):
        cfg = self.test_cfg
        unknown = sorted(set(cfg) - set(self.test_fields))
        if unknown:
            raise ValueError(f'{self._name}: test_cfg has {unknown}; it '
                             f'takes {self.test_fields}.')
        check_choice(self._name, 'test_cfg.mode', cfg['mode'],
                     ('whole', 'slide'))
        check_choice(self._name, 'test_cfg.resize',
                     cfg.get('resize', 'antialias'), tuple(RESIZES))
        if cfg['mode'] == 'whole':
            return
        crop, stride = cfg.get('crop_size'), cfg.get('stride')
        pairs = all(isinstance(size, (list, tuple)) and len(size) == 2
                    for size in (crop, stride))
        if not pairs or any(not 0 < s <= c for c, s in zip(crop, stride)):
            raise ValueError(
                f"{self._name}: test_cfg.mode='slide' needs crop_size and "
                'stride, (height, width) each, with strides of at most the '
                f'crop size, got {crop} and {stride}.')

    def _check_backbone(self):
        backbone, channels = self.backbone, self.protocol.in_channels
        if hasattr(backbone, 'velocity') and backbone.in_channels != channels:
            raise ValueError(
                f'{self._name}: this protocol (noise={self.protocol.noise!r})'
                f' gives the U-Net {channels} channels, but backbone.'
                f'in_channels is {backbone.in_channels}; set it to '
                f'{channels}, or choose another protocol.')
        if self._has_latent_loss and not hasattr(backbone, 'encode'):
            raise ValueError(
                f'{self._name}: decode_head.loss_latent needs the VAE encoder '
                'of genpercept_mm.SDUNet, but the backbone is a '
                f'{type(backbone).__name__}; remove loss_latent, or use an '
                'SDUNet.')

    def _init_decode_head(self, decode_head):
        self.decode_head = MODELS.build(decode_head)
        if not hasattr(self.decode_head, 'codec'):
            raise TypeError(
                f'{self._name}: decode_head must be a dense head with a '
                'codec, such as genpercept_mm.VAEDecodeHead, got '
                f'{type(self.decode_head).__name__}; for mmseg heads use '
                "type='EncoderDecoder'.")
        self.codec = self.decode_head.codec
        self.out_channels = self.decode_head.out_channels
        self.align_corners = False

    def switch_to_deploy(self):
        """Fold what is constant at test time, in place.

        See `SDUNet.switch_to_deploy` and `VAEDecodeHead.switch_to_deploy`;
        the sign of the latent, the scaling factor and ``post_quant_conv`` go
        into the U-Net's last layer. Predictions are the same to rounding; the
        model cannot be trained afterwards.

        Raises:
            RuntimeError: If ``pretrained`` is set, but not loaded.
        """
        for part in (self.backbone, self.decode_head):
            if getattr(part, 'deployed', True):
                continue
            part.switch_to_deploy(**self._deploy_options(part))
        if self._latent_is_read_once() and (
                self.decode_head.vae.post_quant_conv is not None):
            self.backbone.fold_after_latent(
                *self.decode_head.take_first_layer())
        self.eval()

    def _deploy_options(self, part):
        return {}

    def _latent_is_read_once(self):
        """Tell whether a latent goes from the U-Net to the decoder only."""
        return (isinstance(self.backbone, SDUNet)
                and isinstance(self.decode_head, VAEDecodeHead)
                and not self.with_neck
                and len(self.backbone.out_indices) == 1)

    def encode_targets(self, data_samples):
        """Encode the targets of a batch into latents.

        The samples have ``gt_target`` and ``gt_target_mask``. Returns scaled
        latents, (N, 4, h, w), without gradients, and a mask, (N, 1, h, w)
        bool, which is True for cells whose pixels are all valid. Raises a
        ValueError if a sample has no target.
        """
        target, mask = self.decode_head.stack_targets(data_samples)
        # targets in half precision would be off by more than what is learnt
        with torch.no_grad(), torch.autocast(
                target.device.type, enabled=False):
            latent = self.backbone.encode(target.to(
                self.backbone.prompt_embeds.dtype).expand(-1, 3, -1, -1))
        return latent, latent_mask(
            mask, self.backbone.size_divisor, latent.shape[2:])

    def _decode_head_forward_train(self, inputs, data_samples):
        more = {}
        if self._has_latent_loss:
            more['latent_target'] = self.encode_targets(data_samples)
        losses = self.decode_head.loss(
            inputs, data_samples, self.train_cfg, **more)
        return add_prefix(losses, 'decode')

    def _forward(self, inputs, data_samples=None):
        return self.encode_decode(inputs, None)

    def predict(self, inputs, data_samples=None):
        """Predict quantities at the size of the original images.

        Args:
            inputs (Tensor): (N, 3, H, W) from the data preprocessor.
            data_samples (list[SegDataSample], optional): Metadata, and labels
                to keep. None takes ``inputs`` as the original images.

        Returns:
            list[SegDataSample]: With ``pred_<quantity>_map``.

        Raises:
            ValueError: If the pipeline flipped an image upside down.
        """
        if data_samples is None:
            size = tuple(inputs.shape[2:])
            data_samples = [
                SegDataSample(metainfo=dict(ori_shape=size, img_shape=size))
                for _ in inputs]
        sizes = [_size_without_padding(inputs, sample)
                 for sample in data_samples]
        metas = [sample.metainfo for sample in data_samples]
        if all(size == tuple(inputs.shape[2:]) for size in sizes):
            batches = [(inputs, metas)]
        else:
            # the network would see the padding and predict something else
            batches = [
                (image[None, :, :height, :width], [meta])
                for image, (height, width), meta in zip(inputs, sizes, metas)]
        images = []
        for batch in batches:
            maps = self._infer(*batch)
            images += [dict(zip(maps, values))
                       for values in zip(*maps.values())]
        return self._add_predictions(images, data_samples)

    def inference(self, inputs, batch_img_metas):
        """Run the network on images (N, 3, H, W), whole or in windows, and on
        mirrored ones. Returns (N, C, about H, about W) in [-1, 1].
        ``batch_img_metas`` is the images' metadata, or None."""
        return self._infer(inputs, batch_img_metas)['output']

    def _infer(self, inputs, metas):
        """Give the result of `inference` as ``'output'`` in a dict, to which
        subclasses add maps."""

        def infer(inputs):
            if self.test_cfg['mode'] == 'slide':
                return dict(output=self.slide_inference(inputs, metas))
            return self._infer_whole(inputs, metas)

        size = inputs.shape[2:]
        inputs = self._padded(inputs)
        maps = infer(inputs)
        if self.test_cfg.get('flip'):
            mirrored = infer(inputs.flip(-1))
            maps = {name: self._merge_views(
                name, values, self._mirror(name, mirrored[name]))
                for name, values in maps.items()}
        if inputs.shape[2:] != size:
            maps = {name: _part(values, size, inputs.shape[2:])
                    for name, values in maps.items()}
        return maps

    def _padded(self, inputs):
        """Repeat the edges of images that are smaller than the VAE's stride,
        which it would not encode, or that ``pad_divisor`` does not divide."""
        least = getattr(self.backbone, 'size_divisor', 1)
        divisor = self.test_cfg.get('pad_divisor') or 1
        height, width = (
            -max(length, least) // divisor * -divisor
            for length in inputs.shape[2:])
        padding = (0, width - inputs.shape[3], 0, height - inputs.shape[2])
        return F.pad(inputs, padding, mode='replicate') if any(
            padding) else inputs

    def _merge_views(self, name, first, second):
        """Merge two maps of this name in `_infer`."""
        if name == 'output' and self.codec.ensembling is None:
            return self.codec.select(first, second)
        return (first + second) / 2

    def _mirror(self, name, maps):
        """Mirror maps (N, C, H, W) that have this name in `_infer`."""
        maps = maps.flip(-1)
        return self.codec.mirror(
            maps, channel_axis=1) if name == 'output' else maps

    def whole_inference(self, inputs, batch_img_metas):
        """See `inference`, on whole images that are not mirrored."""
        return self._infer_whole(inputs, batch_img_metas)['output']

    def _infer_whole(self, inputs, metas):
        return dict(output=self.codec.condition(
            self.encode_decode(inputs, metas).float(),
            self.decode_head.bound))

    def slide_inference(self, inputs, batch_img_metas):
        """See `inference`, on windows of images that are not mirrored."""
        height, width = inputs.shape[2:]
        crop = self.test_cfg['crop_size']
        if height <= crop[0] and width <= crop[1]:
            return self.whole_inference(inputs, batch_img_metas)
        boxes = [(top, bottom, left, right)
                 for top, bottom in self._spans(height, 0)
                 for left, right in self._spans(width, 1)]
        outputs = [
            _resize(self.whole_inference(inputs[..., top:bottom, left:right],
                                         batch_img_metas),
                    (bottom - top, right - left))
            for top, bottom, left, right in boxes]
        weights = [
            output.new_tensor(blend_weights(output.shape[2:]))
            for output in outputs]
        # in the type of the outputs, fp32
        merged = outputs[0].new_zeros(
            len(inputs), self.out_channels, height, width)
        total = outputs[0].new_zeros(height, width)
        for (top, bottom, left, right), weight in zip(boxes, weights):
            total[top:bottom, left:right] += weight
        if self.codec.ensembling is None:
            weights, total = _choose(boxes, weights, total), 1
        for n in range(len(inputs)):
            windows = [output[n] for output in outputs]
            if self.codec.affine_invariant:
                windows = [
                    window * scale + shift
                    for window, (scale, shift) in zip(
                        windows, align_windows(windows, boxes))]
            for window, (top, bottom, left, right), weight in zip(
                    windows, boxes, weights):
                merged[n, :, top:bottom, left:right] += window * weight
        merged = merged / total
        return (_fit_range(merged) if self.codec.affine_invariant
                else merged.clamp(-1, 1))

    def _spans(self, length, axis):
        """List the windows along one axis, placed as mmseg places them."""
        crop = self.test_cfg['crop_size'][axis]
        stride = self.test_cfg['stride'][axis]
        starts = range(0, max(length - crop + stride - 1, 0) + 1, stride)
        ends = [min(start + crop, length) for start in starts]
        return [(max(end - crop, 0), end) for end in ends]

    def postprocess_result(self, seg_logits, data_samples=None):
        """Resize outputs (C, H', W') in [-1, 1], decode them and add them to
        the data samples; see `predict`."""
        return self._add_predictions(
            [dict(output=output) for output in seg_logits], data_samples)

    def _add_predictions(self, images, data_samples):
        for maps, sample in zip(images, data_samples):
            restored = {name: self._restore(name, values, sample.metainfo)
                        for name, values in maps.items()}
            sample.set_data({
                field: PixelData(data=values)
                for field, values in self._fields(restored).items()})
            if hasattr(self.codec, 'cfg'):
                # lets visualizers draw the sample without the config
                sample.set_metainfo(dict(codec=to_plain(self.codec.cfg)))
        return data_samples

    def _restore(self, name, values, meta):
        """Bring a map (C, H', W') to the original image, (1, C, H, W)."""
        values = values[None]
        if meta.get('flip'):
            if meta.get('flip_direction', 'horizontal') != 'horizontal':
                raise ValueError(
                    f'{self._name}: only horizontal flips can be undone, got '
                    f'{meta["flip_direction"]!r} for '
                    f'{meta.get("img_path")}.')
            values = self._mirror(name, values)
        return _resize(values, meta['ori_shape'][:2],
                       self.test_cfg.get('resize', 'antialias'))

    def _fields(self, maps):
        """Turn the maps of one image into fields of its data sample."""
        return {self.codec.pred_field: self.codec.decode(maps['output'])[0]}


def _size_without_padding(inputs, sample):
    """Give the height and width of an image in a padded batch."""
    _, right, _, bottom = sample.metainfo.get('img_padding_size', (0, ) * 4)
    return inputs.shape[2] - bottom, inputs.shape[3] - right


def _resize(output, size, kind='antialias'):
    if tuple(output.shape[2:]) == tuple(size):
        return output
    return F.interpolate(output, tuple(size), **RESIZES[kind])


def _choose(boxes, weights, like):
    """Turn weights of windows into 1 for the window that has the largest one
    at a pixel, and 0 for the others."""
    largest, chosen = torch.zeros_like(like), torch.zeros_like(
        like, dtype=torch.long)
    for number, ((top, bottom, left, right), weight) in enumerate(
            zip(boxes, weights)):
        place = slice(top, bottom), slice(left, right)
        better = weight > largest[place]
        largest[place] = torch.where(better, weight, largest[place])
        chosen[place] = torch.where(better, number, chosen[place])
    return [(chosen[top:bottom, left:right] == number).to(weight)
            for number, ((top, bottom, left, right), weight) in enumerate(
                zip(boxes, weights))]


def _fit_range(maps):
    """Squeeze maps into [-1, 1] if aligned windows have left this range."""
    low = maps.amin((1, 2, 3), keepdim=True)
    high = maps.amax((1, 2, 3), keepdim=True)
    outside = (low < -1) | (high > 1)
    fitted = (maps - low) / (high - low).clamp(min=1e-6) * 2 - 1
    return torch.where(outside, fitted, maps)


def _part(maps, size, padded):
    """Cut off what `DenseEstimator._padded` added, from maps of any scale."""
    height, width = (
        max(round(length * part / whole), 1) for length, part, whole in zip(
            maps.shape[2:], size, padded))
    return maps[..., :height, :width]
