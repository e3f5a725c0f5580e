from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseTTAModel
from mmengine.registry import DefaultScope

from genpercept_mm.codecs import AffineDepthCodec
from genpercept_mm.engine import StrictLoadHook


def net():
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))


def check(model, state):
    StrictLoadHook().after_load_checkpoint(
        SimpleNamespace(model=model), dict(state_dict=state))


def test_a_fitting_checkpoint_passes():
    state = net().state_dict()
    del state['1.num_batches_tracked']
    check(net(), dict(state, extra=torch.zeros(1)))


def test_the_prefix_of_a_wrapper_is_ignored_as_mmengine_does():
    check(net(), {f'module.{key}': value
                  for key, value in net().state_dict().items()})


def test_missing_and_misshapen_tensors_are_named():
    state = net().state_dict()
    del state['1.running_mean']
    with pytest.raises(RuntimeError, match=r'1 of 7 tensors are missing '
                       r'\(1.running_mean\), 0 have'):
        check(net(), state)
    state = dict(net().state_dict(), **{'0.bias': torch.zeros(5)})
    with pytest.raises(RuntimeError, match=r'1 have another shape \(0.bias: '
                       r'\(5,\) there, \(3,\) here\)'):
        check(net(), state)


def test_looks_through_a_tta_wrapper():

    class TTA(BaseTTAModel):

        def __init__(self, module):
            torch.nn.Module.__init__(self)
            self.module = module

        def merge_preds(self, data_samples_list):
            return data_samples_list

    check(TTA(net()), net().state_dict())
    with pytest.raises(RuntimeError, match='7 of 7|6 of 7'):
        check(TTA(net()), {})


@pytest.mark.parametrize('space, fits', [('depth', True),
                                         ('disparity', False)])
def test_a_checkpoint_of_another_task_is_refused(space, fits):
    """Same tensors, another quantity."""
    model = torch.nn.Linear(2, 2)
    model.codec = AffineDepthCodec('depth')
    checkpoint = dict(
        state_dict=model.state_dict(), meta=dict(quantity=space))
    check = StrictLoadHook().after_load_checkpoint
    if fits:
        check(SimpleNamespace(model=model), checkpoint)
    else:
        with pytest.raises(RuntimeError, match="'disparity'.*'depth'"):
            check(SimpleNamespace(model=model), checkpoint)


def test_weights_by_the_names_of_an_older_version():
    """mmpose renames them while it loads."""
    from mmpose.models import TopdownPoseEstimator
    with DefaultScope.overwrite_default_scope('mmpose'):
        model = TopdownPoseEstimator(
            dict(type='ResNet', depth=18), head=dict(
                type='HeatmapHead', in_channels=512, out_channels=3,
                deconv_out_channels=(4, ), deconv_kernel_sizes=(4, ),
                decoder=dict(type='MSRAHeatmap', input_size=(32, 32),
                             heatmap_size=(8, 8), sigma=2)))
    older = {key.replace('head.', 'keypoint_head.'): value
             for key, value in model.state_dict().items()}
    model.load_state_dict(older)
    check(model, older)
    values = [value.clone() for value in model.state_dict().values()]
    lacking = dict(older)
    lacking.pop('keypoint_head.final_layer.bias')
    with pytest.raises(RuntimeError, match='tensors are missing'):
        check(model, lacking)
    assert all(map(torch.equal, values, model.state_dict().values()))
