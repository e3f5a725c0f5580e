"""A segmentor for any dense quantity."""
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix

from genpercept_mm.registry import MODELS

from ..heads import BaseDenseHead
from ..utils.window_alignment import align_windows, blend_weights

TEST_CFG = ('mode', 'crop_size', 'stride', 'flip')


@MODELS.register_module()
class DenseEstimator(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` with a dense head and its codec.

    Predictions are data samples with ``pred_<quantity>_map`` (mmseg's
    ``pred_sem_seg`` for classes), a (K, H, W) tensor at the size of the
    original image, beside the ``gt_*`` fields that came in.

    As in the official pipeline, the image is not padded (images of a batch
    that differ in size run one by one), the head's output is brought into
    [-1, 1], resized once from the network's size to the original one
    (bilinear, antialiased), and decoded there.

    ``test_cfg`` has mmseg's fields:

    - ``mode``: ``'whole'``, or ``'slide'`` with ``crop_size`` and ``stride``
      (height, width). Windows are blended with weights that fall off to
      their borders; those of affine-invariant quantities are aligned to
      each other first, by spread and mean of the overlaps.
    - ``flip``: predict the mirrored image too, and average. Default False.

    Args:
        backbone (dict): For example `SDUNet`.
        decode_head (dict): `VAEDecodeHead`, `DPTDecodeHead` or another
            subclass of `BaseDenseHead`.
        neck (dict, optional): Defaults to None.
        auxiliary_head (dict | list[dict], optional): mmseg heads on the
            same features; they need mmseg's labels. Defaults to None.
        train_cfg (dict, optional): Defaults to None.
        test_cfg (dict, optional): See above. Defaults to None ('whole').
        data_preprocessor (dict, optional): Defaults to None.
        pretrained (str, optional): As in mmseg. Defaults to None.
        init_cfg (dict, optional): mmengine initialization. Defaults to
            None.

    Raises:
        TypeError: If the head is no `BaseDenseHead`.
        ValueError: If ``test_cfg`` is not as above.
    """

    def __init__(self,
                 backbone,
                 decode_head,
                 neck=None,
                 auxiliary_head=None,
                 train_cfg=None,
                 test_cfg=None,
                 data_preprocessor=None,
                 pretrained=None,
                 init_cfg=None):
        super().__init__(
            backbone=backbone,
            decode_head=decode_head,
            neck=neck,
            auxiliary_head=auxiliary_head,
            train_cfg=train_cfg,
            test_cfg=dict(dict(mode='whole', flip=False), **(test_cfg or {})),
            data_preprocessor=data_preprocessor,
            pretrained=pretrained,
            init_cfg=init_cfg)
        unknown = sorted(set(self.test_cfg) - set(TEST_CFG))
        if unknown:
            raise ValueError(f'DenseEstimator: test_cfg has {unknown}; it '
                             f'takes {TEST_CFG}.')
        mode = self.test_cfg.get('mode')
        if mode not in ('whole', 'slide'):
            raise ValueError("DenseEstimator: test_cfg.mode must be 'whole' "
                             f"or 'slide', got {mode!r}.")
        if mode == 'slide':
            self._check_windows()

    def _check_windows(self):
        crop, stride = (self.test_cfg.get(key)
                        for key in ('crop_size', 'stride'))
        pairs = all(isinstance(size, (list, tuple)) and len(size) == 2
                    for size in (crop, stride))
        if not pairs or any(not 0 < s <= c for c, s in zip(crop, stride)):
            raise ValueError(
                "DenseEstimator: test_cfg.mode='slide' needs crop_size and "
                'stride, (height, width) each, with strides of at most the '
                f'crop, got {crop} and {stride}.')

    def _init_decode_head(self, decode_head):
        self.decode_head = MODELS.build(decode_head)
        if not isinstance(self.decode_head, BaseDenseHead):
            raise TypeError(
                'DenseEstimator: decode_head must be a dense head with a '
                'codec, such as genpercept_mm.VAEDecodeHead, got '
                f'{type(self.decode_head).__name__}; for mmseg heads use '
                "type='EncoderDecoder'.")
        self.codec = self.decode_head.codec
        self.out_channels = self.decode_head.out_channels
        self.align_corners = False

    def _decode_head_forward_train(self, inputs, data_samples):
        losses = self.decode_head.loss(
            inputs, data_samples, self.train_cfg,
            getattr(self.backbone, 'encode', None))
        return add_prefix(losses, 'decode')

    def predict(self, inputs, data_samples=None):
        """Predict quantities at the size of the original images.

        Args:
            inputs (Tensor): (N, 3, H, W) from the data preprocessor.
            data_samples (list[SegDataSample], optional): Metadata, and
                labels to keep. Defaults to None (``inputs`` are the
                originals).

        Returns:
            list[SegDataSample]: With ``pred_<quantity>_map``.
        """
        if data_samples is None:
            size = tuple(inputs.shape[2:])
            data_samples = [
                SegDataSample(metainfo=dict(ori_shape=size, img_shape=size))
                for _ in inputs]
        sizes = [_size_without_padding(inputs, sample)
                 for sample in data_samples]
        if all(size == tuple(inputs.shape[2:]) for size in sizes):
            outputs = self.inference(inputs, None)
        else:
            # the network would see the padding and predict something else
            outputs = [self.inference(image[None, :, :size[0], :size[1]],
                                      None)[0]
                       for image, size in zip(inputs, sizes)]
        return self.postprocess_result(outputs, data_samples)

    def inference(self, inputs, batch_img_metas):
        """Run the network on whole images or windows, and mirrored ones.

        Args:
            inputs (Tensor): (N, 3, H, W).
            batch_img_metas (list[dict] | None): Not used.

        Returns:
            Tensor: (N, C, H', W') in [-1, 1].
        """
        run = (self.slide_inference
               if self.test_cfg['mode'] == 'slide' else self.whole_inference)
        output = run(inputs, None)
        if self.test_cfg.get('flip'):
            mirrored = self._mirror(run(inputs.flip(-1), None))
            output = (output + mirrored) / 2
        return output

    def _mirror(self, output):
        return self.codec.mirror(output.flip(-1), channel_axis=1)

    def whole_inference(self, inputs, batch_img_metas):
        """Run the network on whole images.

        Args:
            inputs (Tensor): (N, 3, H, W).
            batch_img_metas (list[dict] | None): Not used.

        Returns:
            Tensor: (N, C, about H, about W) in [-1, 1].
        """
        output = self.encode_decode(inputs, batch_img_metas)
        return self.decode_head.bound(output.float())

    def slide_inference(self, inputs, batch_img_metas):
        """Run the network on overlapping windows.

        Args:
            inputs (Tensor): (N, 3, H, W).
            batch_img_metas (list[dict] | None): Not used.

        Returns:
            Tensor: (N, C, H, W) in [-1, 1].
        """
        height, width = inputs.shape[2:]
        crop = self.test_cfg['crop_size']
        if height <= crop[0] and width <= crop[1]:
            return self.whole_inference(inputs, batch_img_metas)
        boxes = [(top, bottom, left, right)
                 for top, bottom in self._spans(height, 0)
                 for left, right in self._spans(width, 1)]
        outputs = []
        for top, bottom, left, right in boxes:
            output = self.whole_inference(
                inputs[..., top:bottom, left:right], batch_img_metas)
            outputs.append(_resize(output, (bottom - top, right - left)))
        weights = [
            output.new_tensor(blend_weights(output.shape[2:]))
            for output in outputs]
        merged = inputs.new_zeros(
            len(inputs), self.out_channels, height, width)
        total = inputs.new_zeros(height, width)
        for box, weight in zip(boxes, weights):
            total[box[0]:box[1], box[2]:box[3]] += weight
        for n in range(len(inputs)):
            windows = [output[n] for output in outputs]
            if self.codec.affine_invariant:
                windows = [
                    window * scale + shift
                    for window, (scale, shift) in zip(
                        windows, align_windows(windows, boxes))]
            for window, box, weight in zip(windows, boxes, weights):
                merged[n, :, box[0]:box[1],
                       box[2]:box[3]] += window * weight / total[
                           box[0]:box[1], box[2]:box[3]]
        return _fit_range(merged)

    def _spans(self, length, axis):
        """Windows along one axis, as mmseg places them."""
        crop = self.test_cfg['crop_size'][axis]
        stride = self.test_cfg['stride'][axis]
        starts = range(0, max(length - crop + stride - 1, 0) + 1, stride)
        ends = [min(start + crop, length) for start in starts]
        return [(max(end - crop, 0), end) for end in ends]

    def postprocess_result(self, seg_logits, data_samples=None):
        """Resize and decode.

        Args:
            seg_logits (Sequence[Tensor]): (C, H', W') in [-1, 1] each.
            data_samples (list[SegDataSample], optional): Their metadata say
                the sizes. Defaults to None.

        Returns:
            list[SegDataSample]: The same, with the prediction.

        Raises:
            ValueError: If the pipeline flipped an image upside down.
        """
        for output, sample in zip(seg_logits, data_samples):
            output = output[None]
            meta = sample.metainfo
            if meta.get('flip'):
                if meta.get('flip_direction', 'horizontal') != 'horizontal':
                    raise ValueError(
                        'DenseEstimator: only left-right flips can be taken '
                        f'back, got {meta["flip_direction"]!r} for '
                        f'{meta.get("img_path")}.')
                output = self._mirror(output)
            output = _resize(output, meta['ori_shape'][:2])
            sample.set_data({
                self.codec.pred_field:
                PixelData(data=self.codec.decode(output)[0])
            })
        return data_samples


def _size_without_padding(inputs, sample):
    """(H, W) of an image in a batch of padded ones."""
    _, right, _, bottom = sample.metainfo.get('img_padding_size', (0, ) * 4)
    return inputs.shape[2] - bottom, inputs.shape[3] - right


def _resize(output, size):
    size = tuple(size)
    if tuple(output.shape[2:]) == size:
        return output
    return F.interpolate(output, size, mode='bilinear', antialias=True)


def _fit_range(maps):
    """Squeeze maps that aligned windows have led outside [-1, 1] into it."""
    low = maps.amin((1, 2, 3), keepdim=True)
    high = maps.amax((1, 2, 3), keepdim=True)
    outside = (low < -1) | (high > 1)
    fitted = (maps - low) / (high - low).clamp(min=1e-6) * 2 - 1
    return torch.where(outside, fitted, maps)
