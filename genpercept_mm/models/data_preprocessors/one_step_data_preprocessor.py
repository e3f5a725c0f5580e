"""Images for one deterministic step."""
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.utils import stack_batch

from genpercept_mm.registry import MODELS

# Labels that a loss compares with the whole, padded image
TARGETS = ('gt_sem_seg', 'gt_target', 'gt_target_mask')


@MODELS.register_module()
class OneStepDataPreprocessor(SegDataPreProcessor):
    """Bring images and labels into the form that `SDUNet` takes.

    RGB in 0..255 becomes [-1, 1]. The images of a batch, whether they have one
    size or not, are padded at the right and bottom to a common multiple of
    ``size_divisor``: images with mid-grey, labels with the ignored value,
    dense targets (``gt_target``) with pixels that do not count. Training and
    testing are alike, and nothing is random (GenPercept, section 3: no
    noise). Given data samples, mmseg's segmentors cut the padding off the
    prediction and resize it to the original image.

    Args:
        size_divisor (int): Sizes become multiples of this. Defaults to 8,
            the VAE's stride; 1 only pads to the largest image of the batch.
        bgr_to_rgb (bool): Whether the loader provides BGR, as mmcv's does.
            Defaults to True.
        seg_pad_val (int): Label of padded pixels. Defaults to 255.
        batch_augments (list[dict], optional): Augmentations of a batch, as
            in mmseg. Defaults to None.

    Raises:
        ValueError: If ``size_divisor`` is not positive.
    """

    def __init__(self,
                 size_divisor=8,
                 bgr_to_rgb=True,
                 seg_pad_val=255,
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
            bgr_to_rgb=bgr_to_rgb,
            batch_augments=batch_augments)

    def forward(self, data, training=False):
        """Collate, normalize and pad a batch.

        Args:
            data (dict): ``inputs``, a list of (3, H, W) tensors in 0..255,
                and ``data_samples``, a list of ``SegDataSample`` (needed for
                training).
            training (bool): Pad labels too. Defaults to False.

        Returns:
            dict: ``inputs`` (N, 3, H', W') in [-1, 1] and ``data_samples``.

        Raises:
            ValueError: If an image does not have three channels, or a label
                differs in size from its image.
        """
        data = self.cast_data(data)
        samples = data.get('data_samples')
        inputs = [self._normalize(image, index, samples)
                  for index, image in enumerate(data['inputs'])]
        if training:
            self._check_labels(inputs, samples)
            inputs, samples = self._stack(inputs, samples)
            _pad_targets(samples, inputs.shape[2:])
            if self.batch_augments is not None:
                inputs, samples = self.batch_augments(inputs, samples)
        else:
            inputs, paddings = self._stack(inputs)
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
            image = image[[2, 1, 0]]
        return (image.float() - self.mean) / self.std

    def _stack(self, inputs, samples=None):
        return stack_batch(
            inputs=inputs,
            data_samples=samples,
            size_divisor=self.size_divisor,
            pad_val=self.pad_val,
            seg_pad_val=self.seg_pad_val)

    @staticmethod
    def _check_labels(inputs, samples):
        if samples is None:
            raise ValueError('OneStepDataPreprocessor: training needs '
                             'data_samples beside inputs.')
        for index, (image, sample) in enumerate(zip(inputs, samples)):
            for field in TARGETS:
                label = sample.get(field)
                if label is None or label.shape == image.shape[1:]:
                    continue
                raise ValueError(
                    'OneStepDataPreprocessor: image and label differ in '
                    f'size, {tuple(image.shape[1:])} and '
                    f'{tuple(label.shape)} (H, W), for '
                    f'{_name(samples, index)}.')


def _pad_targets(samples, size):
    """Pad dense targets in place, with zeros and an empty mask."""
    for sample in samples:
        for field in ('gt_target', 'gt_target_mask'):
            if field in sample:
                maps = sample.get(field).data
                padding = (0, size[1] - maps.shape[-1], 0,
                           size[0] - maps.shape[-2])
                # PixelData refuses data of another size
                sample.set_data(
                    {field: PixelData(data=F.pad(maps, padding))})


def _name(samples, index):
    if samples is None:
        return f'image {index} of the batch'
    return samples[index].get('img_path', f'image {index} of the batch')
