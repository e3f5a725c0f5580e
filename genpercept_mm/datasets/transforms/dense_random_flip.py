"""Flips of images and dense targets."""
from mmseg.datasets.transforms import RandomFlip

from genpercept_mm.codecs import NormalCodec
from genpercept_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class DenseRandomFlip(RandomFlip):
    """mmseg's ``RandomFlip`` for targets whose values are directions.

    A mirrored scene has mirrored normals: their x component changes its
    sign. Only left-right flips, as in the paper.

    Args:
        prob (float): Defaults to 0.5.
    """

    def __init__(self, prob=0.5):
        super().__init__(prob=float(prob), direction='horizontal')

    def _flip(self, results):
        super()._flip(results)
        # the target, and labels that are kept or have no target yet
        codecs = dict(gt_normal_map=NormalCodec())
        if 'codec' in results:
            codecs['gt_target'] = results['codec']
            codecs[results['codec'].label_key] = results['codec']
        for key, codec in codecs.items():
            if key in results.get('seg_fields', ()):
                results[key] = codec.mirror(results[key], channel_axis=-1)
        results['mirrored'] = True
