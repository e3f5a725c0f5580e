"""A segmentor for any dense quantity."""
import os.path as osp

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix

from genpercept_mm.diffusion import (
    build_protocol,
    gaussian_noise,
    image_generator,
    split_velocity,
)
from genpercept_mm.diffusion.ensembling import ENSEMBLES
from genpercept_mm.registry import MODELS

from ..heads import BaseDenseHead, VAEDecodeHead
from ..utils.window_alignment import align_windows, blend_weights

TEST_CFG = ('mode', 'crop_size', 'stride', 'flip', 'num_steps',
            'ensemble_size', 'seed', 'uncertainty')


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

    The default protocol is one step: features of the backbone, and any
    dense head on them. The others run the U-Net on latents, several times
    (see `genpercept_mm.diffusion.DiffusionProtocol`), and need a
    `VAEDecodeHead` and a backbone with the predicted latent among its
    outputs. They learn the velocity at the backbone's ``train_timestep`` by
    the head's ``loss_latent``, and by ``loss_decode`` from the clean latent
    that follows from it. On the same weights both ways agree to rounding
    where they are the same mathematics, with betas of 1 and the image as
    noise.

    ``test_cfg`` has mmseg's fields:

    - ``mode``: ``'whole'``, or ``'slide'`` with ``crop_size`` and ``stride``
      (height, width). Windows are blended with weights that fall off to
      their borders; those of affine-invariant quantities are aligned to
      each other first, by spread and mean of the overlaps.
    - ``flip``: predict the mirrored image too, and average. Default False.

    and, for other protocols than one step:

    - ``num_steps``: Default None (the protocol's).
    - ``seed``: of the noise that sampling starts from. That follows from
      seed and name of the image (``sample_name``, else the file's) alone,
      not from what else is in the batch, or came before. Default 0.
    - ``ensemble_size``: Predictions from as many draws, made into one as the
      codec's ``ensembling`` says; they run in one batch, of this many times
      the images. Default 1.
    - ``uncertainty``: Add the spread of an ensemble to the data samples, as
      ``pred_<quantity>_uncertainty_map`` (1, H, W), see
      `genpercept_mm.diffusion.ensembling`; whole mode only. Default False.

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
        protocol (str | dict): ``'one_step'``, ``'marigold'``, ``'dmp'``, or
            a dict with that as ``type`` and fields to change. Defaults to
            'one_step'.
        init_cfg (dict, optional): mmengine initialization. Defaults to
            None.

    Raises:
        TypeError: If the head is no `BaseDenseHead`.
        ValueError: If ``test_cfg`` is not as above, or backbone and head do
            not fit the protocol.
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
                 protocol='one_step',
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
        self.protocol = build_protocol(protocol)
        self._check_protocol()
        self._check_sampling()

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

    def _check_protocol(self):
        """Whether backbone and head can run the protocol."""
        protocol, backbone = self.protocol, self.backbone
        if hasattr(backbone, 'velocity') and (
                backbone.in_channels != protocol.in_channels):
            raise ValueError(
                f'DenseEstimator: this protocol (noise={protocol.noise!r}) '
                f'gives the U-Net {protocol.in_channels} channels, backbone.'
                f'in_channels is {backbone.in_channels}; set it to '
                f'{protocol.in_channels}, or choose another protocol.')
        if protocol.is_one_step:
            return
        reason = 'DenseEstimator: only the one_step protocol runs '
        if not isinstance(self.decode_head, VAEDecodeHead):
            raise ValueError(
                f'{reason}with a {type(self.decode_head).__name__}; set '
                'decode_head to a genpercept_mm.VAEDecodeHead.')
        if not getattr(backbone, 'predicts_latent', False):
            raise ValueError(
                f'{reason}without the predicted latent; set backbone.'
                'out_indices of genpercept_mm.SDUNet to (4, ).')
        if backbone.timestep != 1:
            raise ValueError(
                f'{reason}at backbone.timestep, got {backbone.timestep}; '
                'others visit the timesteps of their schedule. Leave it at '
                '1, and set backbone.train_timestep for the training.')
        if self.with_neck or self.with_auxiliary_head:
            raise ValueError(f'{reason}with a neck or an auxiliary_head; '
                             'remove them.')
        if protocol.schedule.num_train_timesteps != 1000:
            raise ValueError(
                'DenseEstimator: num_train_timesteps of the protocol must be '
                "1000, as Stable Diffusion's, got "
                f'{protocol.schedule.num_train_timesteps}.')

    def _check_sampling(self):
        """Whether ``test_cfg`` fits the protocol."""
        cfg = self.test_cfg
        num_steps = cfg.get('num_steps')
        if num_steps is not None:
            self.protocol.schedule.timesteps(num_steps)
        self.num_steps = (
            self.protocol.num_steps if num_steps is None else num_steps)
        self.ensemble_size = cfg.get('ensemble_size', 1)
        if not (isinstance(self.ensemble_size, int)
                and self.ensemble_size >= 1):
            raise ValueError('DenseEstimator: test_cfg.ensemble_size must be '
                             'a positive integer, got '
                             f'{self.ensemble_size!r}.')
        if self.ensemble_size > 1 and not self.protocol.stochastic:
            raise ValueError(
                'DenseEstimator: test_cfg.ensemble_size='
                f'{self.ensemble_size} is pointless with a deterministic '
                "protocol, all members would be equal; set it to 1, or use "
                "protocol='marigold'.")
        if self.ensemble_size > 1 and self.codec.ensembling is None:
            raise ValueError(
                f'DenseEstimator: outputs of {type(self.codec).__name__} '
                'cannot be averaged; set test_cfg.ensemble_size=1.')
        if cfg.get('uncertainty'):
            if self.ensemble_size == 1:
                raise ValueError(
                    'DenseEstimator: test_cfg.uncertainty is the spread of '
                    'an ensemble; set ensemble_size to at least 2.')
            if cfg['mode'] == 'slide':
                raise ValueError(
                    'DenseEstimator: test_cfg.uncertainty is not defined '
                    "across windows; set mode='whole', or uncertainty=False."
                )

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

    def loss(self, inputs, data_samples):
        """Compute the losses of a batch.

        Args:
            inputs (Tensor): (N, 3, H, W) from the data preprocessor.
            data_samples (list[SegDataSample]): With targets.

        Returns:
            dict[str, Tensor]: Losses by name.

        Raises:
            ValueError: If there is no loss or no target, or only one
                timestep would be trained and several be visited.
        """
        if self.protocol.is_one_step:
            return super().loss(inputs, data_samples)
        backbone, head = self.backbone, self.decode_head
        image = backbone.encode(inputs)
        label, mask = head.encode_targets(data_samples, backbone.encode)
        timesteps = backbone.draw_timesteps(len(image), image.device)
        visited = self.protocol.schedule.timesteps(self.num_steps)
        if isinstance(timesteps, int) and visited != [timesteps]:
            raise ValueError(
                f'DenseEstimator: only timestep {timesteps} would be trained'
                f', and {visited} be visited in testing; set backbone.'
                "train_timestep='random'"
                + (f', or {visited[0]}.' if len(visited) == 1 else '.'))
        unet_input, target, sample, alpha = self.protocol.training_pair(
            image, label, timesteps)
        velocity = backbone.velocity(unet_input, timesteps)
        clean, _ = split_velocity(sample, velocity, alpha)
        losses = head.loss_by_latent(
            clean, data_samples, velocity, target, mask)
        return add_prefix(losses, 'decode')

    def _forward(self, inputs, data_samples=None):
        return self.encode_decode(inputs, None)

    def encode_decode(self, inputs, batch_img_metas):
        """Compute the head's output, for each member of an ensemble.

        Args:
            inputs (Tensor): (N, 3, H, W).
            batch_img_metas (list[dict] | None): Names for the noise.

        Returns:
            Tensor: (N, C, about H, about W), not clipped; with an ensemble
            of E, (N E, C, about H, about W), members of an image together.
        """
        if self.protocol.is_one_step:
            return super().encode_decode(inputs, batch_img_metas)
        image = self.backbone.encode(inputs)
        noise = None
        if self.protocol.stochastic:
            shape = self.ensemble_size, *image.shape[1:]
            metas = batch_img_metas or [{}] * len(image)
            noise = torch.cat([
                gaussian_noise(shape, image_generator(
                    self.test_cfg.get('seed', 0), _name(meta)), image.device)
                for meta in metas])
            image = image.repeat_interleave(self.ensemble_size, dim=0)
        latent = self.protocol.sample(
            self.backbone.velocity, image, noise=noise,
            num_steps=self.num_steps)
        return self.decode_head.decode(latent)

    def predict(self, inputs, data_samples=None):
        """Predict quantities at the size of the original images.

        Args:
            inputs (Tensor): (N, 3, H, W) from the data preprocessor.
            data_samples (list[SegDataSample], optional): Metadata, and
                labels to keep. Defaults to None (``inputs`` are the
                originals).

        Returns:
            list[SegDataSample]: With ``pred_<quantity>_map``, and if
            ``test_cfg`` says so ``pred_<quantity>_uncertainty_map``.
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
            outputs, spreads = self._infer(inputs, metas)
        else:
            # the network would see the padding and predict something else
            pairs = [self._infer(image[None, :, :size[0], :size[1]], [meta])
                     for image, size, meta in zip(inputs, sizes, metas)]
            outputs = [output[0] for output, _ in pairs]
            spreads = None
            if self.test_cfg.get('uncertainty'):
                spreads = [spread[0] for _, spread in pairs]
        return self.postprocess_result(outputs, data_samples, spreads)

    def inference(self, inputs, batch_img_metas):
        """Run the network on whole images or windows, and mirrored ones.

        Args:
            inputs (Tensor): (N, 3, H, W).
            batch_img_metas (list[dict] | None): Names for the noise.

        Returns:
            Tensor: (N, C, H', W') in [-1, 1].
        """
        return self._infer(inputs, batch_img_metas)[0]

    def _infer(self, inputs, metas):
        """`inference`, and the uncertainty (N, 1, H', W') or None."""
        output, spread = self._infer_unflipped(inputs, metas)
        if self.test_cfg.get('flip'):
            mirrored, mirrored_spread = self._infer_unflipped(
                inputs.flip(-1), metas)
            output = (output + self._mirror(mirrored)) / 2
            if spread is not None:
                spread = (spread + mirrored_spread.flip(-1)) / 2
        return output, spread

    def _infer_unflipped(self, inputs, metas):
        if self.test_cfg['mode'] == 'slide':
            return self.slide_inference(inputs, metas), None
        return self._infer_whole(inputs, metas)

    def _mirror(self, output):
        return self.codec.mirror(output.flip(-1), channel_axis=1)

    def whole_inference(self, inputs, batch_img_metas):
        """Run the network on whole images.

        Args:
            inputs (Tensor): (N, 3, H, W).
            batch_img_metas (list[dict] | None): Names for the noise.

        Returns:
            Tensor: (N, C, about H, about W) in [-1, 1].
        """
        return self._infer_whole(inputs, batch_img_metas)[0]

    def _infer_whole(self, inputs, metas):
        output = self.decode_head.bound(
            self.encode_decode(inputs, metas).float())
        if self.ensemble_size == 1:
            return output, None
        uncertainty = bool(self.test_cfg.get('uncertainty'))
        pairs = [ENSEMBLES[self.codec.ensembling](members, uncertainty)
                 for members in output.split(self.ensemble_size)]
        return (torch.stack([merged for merged, _ in pairs]),
                torch.stack([spread for _, spread in pairs])
                if uncertainty else None)

    def slide_inference(self, inputs, batch_img_metas):
        """Run the network on overlapping windows.

        Args:
            inputs (Tensor): (N, 3, H, W).
            batch_img_metas (list[dict] | None): Names for the noise.

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

    def postprocess_result(self, seg_logits, data_samples=None,
                           uncertainties=None):
        """Resize and decode.

        Args:
            seg_logits (Sequence[Tensor]): (C, H', W') in [-1, 1] each.
            data_samples (list[SegDataSample], optional): Their metadata say
                the sizes. Defaults to None.
            uncertainties (Sequence[Tensor], optional): (1, H', W') each.
                Defaults to None.

        Returns:
            list[SegDataSample]: The same, with the prediction.

        Raises:
            ValueError: If the pipeline flipped an image upside down.
        """
        if uncertainties is None:
            uncertainties = [None] * len(data_samples)
        for output, spread, sample in zip(
                seg_logits, uncertainties, data_samples):
            output = output[None]
            meta = sample.metainfo
            flipped = meta.get('flip')
            if flipped:
                if meta.get('flip_direction', 'horizontal') != 'horizontal':
                    raise ValueError(
                        'DenseEstimator: only left-right flips can be taken '
                        f'back, got {meta["flip_direction"]!r} for '
                        f'{meta.get("img_path")}.')
                output = self._mirror(output)
            size = meta['ori_shape'][:2]
            decoded = self.codec.decode(_resize(output, size))[0]
            fields = {self.codec.pred_field: PixelData(data=decoded)}
            if spread is not None:
                spread = spread[None].flip(-1) if flipped else spread[None]
                fields[self.codec.uncertainty_field] = PixelData(
                    data=_resize(spread, size)[0])
            sample.set_data(fields)
        return data_samples


def _name(meta):
    """Name of an image, if it has one; not its folder, which moves."""
    return meta.get('sample_name') or osp.basename(
        meta.get('img_path') or '') or None


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
