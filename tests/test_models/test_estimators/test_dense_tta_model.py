import torch
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData

import genpercept_mm  # noqa: F401
from genpercept_mm.models import DenseTTAModel

from mmseg.structures import SegDataSample  # isort: skip


def tta_model(codec):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return DenseTTAModel(module=dict(
            type='genpercept_mm.DenseEstimator',
            backbone=dict(
                type='genpercept_mm.SDUNet', arch='mini', out_indices=(4, )),
            decode_head=dict(
                type='genpercept_mm.VAEDecodeHead', arch='mini',
                codec=codec),
            data_preprocessor=dict(
                type='genpercept_mm.OneStepDataPreprocessor',
                size_divisor=1))).eval()


def test_two_flips_are_the_estimators_own_flip():
    """Through mmengine's TTA path against ``test_cfg.flip``."""
    torch.manual_seed(0)
    for codec in (dict(type='NormalCodec'), dict(type='AffineDepthCodec'),
                  dict(type='ColormapCodec')):
        model = tta_model(codec)
        picture = torch.randint(0, 256, (3, 32, 48), dtype=torch.uint8)

        def view(flip):
            return SegDataSample(metainfo=dict(
                ori_shape=(32, 48), img_shape=(32, 48), flip=flip))

        with torch.no_grad():
            merged, = model.test_step(dict(
                inputs=[[picture], [picture.flip(-1)]],
                data_samples=[[view(False)], [view(True)]]))
            model.module.test_cfg.update(flip=True, keep_output=False)
            single, = model.module.test_step(dict(
                inputs=[picture], data_samples=[view(False)]))
        field = model.module.codec.pred_field
        torch.testing.assert_close(
            merged.get(field).data, single.get(field).data, atol=1e-5,
            rtol=1e-5)
        assert 'pred_output' not in merged


def test_classes_are_not_averaged_as_numbers():
    """Wall and wall stay wall, whatever lies between their ids."""
    model = tta_model(dict(type='ColormapCodec'))
    palette = torch.from_numpy(model.module.codec.palette) / 127.5 - 1
    views = []
    for shift in (-.02, .02):
        view = SegDataSample()
        view.set_data(dict(pred_output=PixelData(
            data=(palette[7] + shift).view(3, 1, 1))))
        views.append(view)
    merged, = model.merge_preds([views])
    assert merged.pred_sem_seg.data.item() == 7
