"""Flips of images and dense targets."""
from mmseg.datasets.transforms import RandomFlip

from genpercept_mm.codecs import directional_label_keys, mirror_directions
from genpercept_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class DenseRandomFlip(RandomFlip):
    """mmseg's ``RandomFlip`` for targets whose values may be directions.

    A mirrored scene has mirrored normals: the sign of their x component
    changes. Only left-right flips, as in the paper.

    Args:
        prob (float): Probability of a flip. Defaults to 0.5.
    """

    def __init__(self, prob=0.5):
        super().__init__(prob=float(prob), direction='horizontal')

    def _flip(self, results):
        super()._flip(results)
        # raw labels, which may be kept or not encoded yet, and the target
        mirrors = dict.fromkeys(directional_label_keys(), mirror_directions)
        if 'codec' in results:
            codec = results['codec']
            mirrors['gt_target'] = mirrors[codec.label_key] = codec.mirror
        for key, mirror in mirrors.items():
            if key in results.get('seg_fields', ()):
                results[key] = mirror(results[key], channel_axis=-1)
        results['mirrored'] = True
