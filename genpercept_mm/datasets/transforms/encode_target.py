"""From a raw label to the network's target."""
from logging import WARNING

from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from genpercept_mm.registry import CODECS, TRANSFORMS


@TRANSFORMS.register_module()
class EncodeTarget(BaseTransform):
    """Encode the label of the task, before any resizing.

    Normalizing at the label's own resolution is part of the recipe: the
    quantiles of a depth map must not depend on the training size.

    Required keys: ``gt_<label>_map``, optionally ``gt_<label>_mask``.
    Added keys: ``gt_target`` (H, W, C) float32 in [-1, 1],
    ``gt_target_mask`` (H, W) bool, ``codec``.

    Args:
        codec (dict): The task, see `genpercept_mm.codecs`.
        keep_label (bool): Keep the raw label beside the target, for example
            for an auxiliary mmseg head. Defaults to False.

    Raises:
        ValueError: If the sample has no label for this codec, or one that
            does not fit the image or the codec; the file is named.
    """

    def __init__(self, codec, keep_label=False):
        self.codec = CODECS.build(codec)
        self.keep_label = keep_label
        self._warned = False

    def transform(self, results):
        """Encode one sample."""
        codec, name = self.codec, results.get('img_path', 'a sample')
        if codec.label_key not in results:
            found = list(results.get('seg_fields', ()))
            raise ValueError(
                f'EncodeTarget: {type(codec).__name__} needs '
                f'{codec.label_key}, but {name} (data set '
                f'{results.get("dataset_name", "unknown")!r}) has only '
                f'{found}. Load that label before EncodeTarget, or use the '
                'codec of the labels that this data set has.')
        label = results[codec.label_key]
        if 'img' in results and label.shape[:2] != results['img'].shape[:2]:
            raise ValueError(
                f'EncodeTarget: {name} is {results["img"].shape[:2]} and its '
                f'{codec.label_key} {label.shape[:2]} (H, W). Image and label'
                ' must have one size; encode before resizing.')
        try:
            target, mask = codec.encode(label, results.get(codec.mask_key))
        except ValueError as error:
            raise ValueError(f'{error} The sample is {name}.') from error
        if not mask.any() and not self._warned:
            self._warned = True
            print_log(
                f'EncodeTarget: {name} has no pixel to learn '
                f'{codec.label} from: none is valid, or nearly all have one '
                'value. It adds nothing to the loss. Further ones are not '
                'reported.',
                logger='current',
                level=WARNING)
        fields = results.setdefault('seg_fields', [])
        if not self.keep_label:
            for key in (codec.label_key, codec.mask_key):
                results.pop(key, None)
                if key in fields:
                    fields.remove(key)
        results.update(gt_target=target, gt_target_mask=mask, codec=codec)
        fields.extend(['gt_target', 'gt_target_mask'])
        return results
