"""Images for one deterministic step."""
import functools

import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.utils import stack_batch

from genpercept_mm.registry import MODELS

# labels that losses compare with the whole, padded image
TARGETS = ('gt_sem_seg', 'gt_target', 'gt_target_mask')
# labels that are padded with the ignored value
CLASS_IDS = ('gt_sem_seg', 'gt_edge_map')


@MODELS.register_module()
class OneStepDataPreprocessor(SegDataPreProcessor):
    """Bring images and labels into the form that `SDUNet` takes.

    RGB values in 0..255 are scaled to [-1, 1]. All images of a batch are
    padded at the right and bottom to one size, a multiple of
    ``size_divisor``: images with mid-grey, class ids with the ignored value,
    and other maps with zeros, which do not count. Training
    and testing are alike, and nothing is random (GenPercept, section 3: no
    noise). With the metadata of the padding, mmseg's segmentors cut it off
    the prediction and resize the rest to the original image.

    Args:
        size_divisor (int): Sizes become multiples of this, at least 1, which
            only pads to the largest image of the batch. Defaults to 8, the
            VAE's stride.
        bgr_to_rgb (bool): Whether the loader provides BGR, as mmcv's does.
            Defaults to True.
        seg_pad_val (int): Label of padded pixels. Defaults to 255.
        batch_augments (list[dict], optional): Augmentations of a batch, as
            in mmseg. Defaults to None.

    Raises:
        ValueError: If ``size_divisor`` is not positive.
    """

    def __init__(self, size_divisor=8, bgr_to_rgb=True, seg_pad_val=255,
                 batch_augments=None):
        if size_divisor < 1:
            raise ValueError('OneStepDataPreprocessor: size_divisor must be '
                             f'at least 1, got {size_divisor}.')
        super().__init__(
            # (x - 127.5) / 127.5 = x / 255 * 2 - 1
            mean=[127.5] * 3,
            std=[127.5] * 3,
            size_divisor=size_divisor,
            pad_val=0,
            seg_pad_val=seg_pad_val,
            bgr_to_rgb=bgr_to_rgb)
        self._non_blocking = True
        # mmseg would call the list
        self.batch_augments = [
            MODELS.build(augment) if isinstance(augment, dict) else augment
            for augment in batch_augments or ()]

    def forward(self, data, training=False):
        """Collate, normalize and pad a batch.

        Args:
            data (dict): ``inputs``, a list of (3, H, W) tensors in 0..255,
                and ``data_samples``, a list of ``SegDataSample``, which only
                testing can do without.
            training (bool): Pad labels too. Defaults to False.

        Returns:
            dict: ``inputs`` (N, 3, H', W') in [-1, 1] and ``data_samples``.

        Raises:
            ValueError: If an image does not have three channels, a label
                differs in size from its image, or training has no samples.
        """
        data = self.cast_data(data)
        samples = data.get('data_samples')
        inputs = [self._normalize(image, index, samples)
                  for index, image in enumerate(data['inputs'])]
        stack = functools.partial(
            stack_batch, size_divisor=self.size_divisor, pad_val=self.pad_val,
            seg_pad_val=self.seg_pad_val)
        if training:
            _check_labels(inputs, samples)
            # stack_batch pads depth as class ids
            maps = [_take_maps(sample) for sample in samples]
            inputs, samples = stack(inputs, samples)
            _pad_maps(samples, maps, inputs.shape[2:])
            for augment in self.batch_augments or ():
                inputs, samples = augment(inputs, samples)
        else:
            inputs, paddings = stack(inputs)
            for sample, padding in zip(samples or (), paddings):
                sample.set_metainfo(padding)
        return dict(inputs=inputs, data_samples=samples)

    def _normalize(self, image, index, samples):
        if image.dim() != 3 or image.shape[0] != 3:
            raise ValueError(
                'OneStepDataPreprocessor: an image must be (3, H, W), got '
                f'{tuple(image.shape)} for {_name(samples, index)}; load it '
                "with color_type='color'.")
        if self.channel_conversion:
            # a list of indices would be copied to the device
            image = image.flip(0)
        return (image.float() - self.mean) / self.std


def _check_labels(inputs, samples):
    """Refuse missing samples, and labels of another size than their image."""
    if samples is None:
        raise ValueError('OneStepDataPreprocessor: training needs '
                         'data_samples beside inputs.')
    for index, (image, sample) in enumerate(zip(inputs, samples)):
        for field in TARGETS:
            label = sample.get(field)
            if label is not None and label.shape != image.shape[1:]:
                raise ValueError(
                    'OneStepDataPreprocessor: image and label differ in '
                    f'size, {tuple(image.shape[1:])} and '
                    f'{tuple(label.shape)} (H, W), for '
                    f'{_name(samples, index)}.')


def _take_maps(sample):
    """Take dense maps, which are not class ids, out of a data sample."""
    return {field: sample.pop(field).data for field in sample.keys()
            if field.startswith('gt_') and field not in CLASS_IDS
            and isinstance(sample.get(field), PixelData)}


def _pad_maps(samples, maps, size):
    """Put maps back, padded with zeros; masks become False there."""
    for sample, fields in zip(samples, maps):
        for field, values in fields.items():
            padding = (0, size[1] - values.shape[-1], 0,
                       size[0] - values.shape[-2])
            sample.set_data({field: PixelData(data=F.pad(values, padding))})


def _name(samples, index):
    """Name an image in a message."""
    sample = {} if samples is None else samples[index]
    return sample.get('img_path', f'image {index} of the batch')
