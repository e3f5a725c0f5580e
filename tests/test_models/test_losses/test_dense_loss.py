"""What holds for every loss; each has its own module besides."""
import numpy as np
import pytest
import torch
from conftest import assert_near
from mmengine.structures import PixelData
from mmseg.models.decode_heads import FCNHead, VPDDepthHead
from mmseg.structures import SegDataSample

from genpercept_mm.models import losses
from genpercept_mm.models.losses import DenseLoss, MaskedMSELoss
from genpercept_mm.registry import MODELS
from genpercept_mm.utils.step_draws import step_draws

CONFIGS = [
    dict(type='MaskedMSELoss'),
    dict(type='MaskedL1Loss'),
    dict(type='ScaleShiftInvariantLoss'),
    dict(type='ScaleShiftInvariantLoss', reduction='image'),
    dict(type='HDNLoss', reduction='image'),
    dict(type='ScaleShiftInvariantLoss', mode='median', median_over='valid'),
    dict(type='GradientMatchingLoss'),
    dict(type='GradientMatchingLoss', scales=1, directions='vertical'),
    dict(type='AngularLoss'),
    dict(type='VirtualNormalLoss', relative_focal_length=1.),
    dict(type='HDNLoss'),
    dict(type='HDNLoss', mode='spatial'),
    # pixels outside the mask count in these
    dict(type='ScaleShiftInvariantLoss', mode='median'),
    dict(type='HDNLoss', mode='random', official=True),
    dict(type='HDNLoss', mode='spatial', official=True),
]
NOT_MASKED = (CONFIGS[-3], CONFIGS[-1])
MASKED = [cfg for cfg in CONFIGS if cfg not in NOT_MASKED]


def label(cfg):
    return '-'.join(str(value) for value in cfg.values())


each = pytest.mark.parametrize('cfg', CONFIGS, ids=label)
each_masked = pytest.mark.parametrize('cfg', MASKED, ids=label)


def build(cfg, **kwargs):
    # earlier tests may have left a host's scope behind
    name = cfg['type'].split('.')[-1]
    return MODELS.build(dict(cfg, type=f'genpercept_mm.{name}', **kwargs))


def maps(cfg, number=2, size=(24, 20), seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (number, build(cfg).channels or 1, *size)
    target = torch.rand(shape, generator=generator) * 2 - 1
    pred = 0.5 * target + 0.3 * torch.randn(shape, generator=generator)
    mask = torch.rand((number, 1, *size), generator=generator) < 0.7
    return pred, target, mask


def run(loss, pred, *args, seed=1, **kwargs):
    """Value and gradient."""
    pred = pred.clone().requires_grad_()
    torch.manual_seed(seed)
    value = loss(pred, *args, **kwargs)
    value.backward()
    return value.item(), pred.grad


@each
def test_a_batch_without_valid_pixels(cfg):
    pred, target, mask = maps(cfg)
    loss = build(cfg)
    for kwargs in (dict(mask=torch.zeros_like(mask)),
                   dict(weight=torch.zeros_like(mask).float())):
        value, grad = run(loss, pred, target, **kwargs)
        assert value == 0 and not grad.any()
    for filler in (torch.nan, torch.inf, 7.):
        value, grad = run(loss, pred, torch.full_like(target, filler),
                          ignore_index=7)
        assert value == 0 and not grad.any()


@each
def test_an_image_without_valid_pixels_changes_nothing(cfg):
    pred, target, mask = maps(cfg, number=1)
    alone, grad_alone = run(build(cfg), pred, target, mask)
    pred, target = pred.repeat(2, 1, 1, 1), target.repeat(2, 1, 1, 1)
    mask = torch.cat([mask, torch.zeros_like(mask)])
    value, grad = run(build(cfg), pred, target, mask)
    assert alone > 0 and torch.isfinite(grad).all()
    if cfg['type'] != 'HDNLoss' or cfg.get('mode') == 'spatial':
        # its ranges are drawn for each image
        share = 2 if cfg.get('reduction') == 'image' else 1  # one of 2 is 0
        assert share * value == pytest.approx(alone, rel=1e-5)
        assert_near(share * grad[:1], grad_alone)
    assert not grad[1].any()


@each_masked
def test_masked_pixels_change_nothing(cfg):
    pred, target, mask = maps(cfg)
    value, grad = run(build(cfg), pred, target, mask)
    where = ~mask.expand_as(pred)
    assert not grad[where].any() and (grad[~where] != 0).any()
    for filler in (50., torch.nan):
        other_pred, other_target = pred.clone(), target.clone()
        other_pred[where] = filler
        other_target[where] = -filler
        other, other_grad = run(build(cfg), other_pred, other_target, mask)
        assert other == value
        assert (other_grad == grad).all()


@each
@pytest.mark.parametrize('filler', [torch.nan, torch.inf, -torch.inf, 255.])
def test_unknown_targets_are_masked(cfg, filler):
    pred, target, mask = maps(cfg)
    loss = build(cfg)
    unknown = target.clone()
    unknown[~mask.expand_as(target)] = torch.nan
    value, grad = run(loss, pred, unknown)
    unknown[~mask.expand_as(target)] = filler
    other, other_grad = run(loss, pred, unknown, ignore_index=255)
    assert other == value and (other_grad == grad).all()
    assert torch.isfinite(grad).all()
    if cfg in MASKED:
        assert value == run(loss, pred, target, mask)[0]


@each
def test_mask_weight_and_target_take_several_forms(cfg):
    pred, target, mask = maps(cfg)
    loss = build(cfg)
    value = run(loss, pred, target, mask)[0]
    assert value > 0
    for kwargs in (dict(mask=mask[:, 0]), dict(mask=mask.expand_as(pred)),
                   dict(weight=mask.float()), dict(weight=mask[:, 0] * 0.3),
                   dict(mask=mask, weight=mask)):
        assert run(loss, pred, target, **kwargs)[0] == value
    if loss.channels != 3:
        assert run(loss, pred, target[:, 0], mask)[0] == value


@each
def test_sizes_that_differ_are_named(cfg):
    pred, target, mask = maps(cfg)
    with pytest.raises(ValueError, match=cfg['type']) as error:
        build(cfg)(pred, target[..., 1:], mask)
    assert str(tuple(pred.shape)) in str(error.value)
    assert str(tuple(target[..., 1:].shape)) in str(error.value)


@each
def test_half_precision_and_autocast_compute_in_float32(cfg):
    pred, target, mask = maps(cfg)
    loss = build(cfg)
    for dtype in (torch.bfloat16, torch.float16):
        rounded = pred.to(dtype)
        expected, expected_grad = run(loss, rounded.float(), target, mask)
        with torch.autocast('cpu', dtype):
            value, grad = run(loss, rounded, target, mask)
        assert value == expected
        assert grad.dtype == dtype
        np.testing.assert_array_equal(
            grad.float(), expected_grad.to(dtype).float())


def test_autocast_does_not_reach_a_subclass():
    class ProductLoss(DenseLoss):
        def compute_loss(self, pred, target, valid):
            return (pred @ target).sum()

    pred = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = (pred @ pred).sum()
    with torch.autocast('cpu', torch.bfloat16):
        assert (pred @ pred).dtype == torch.bfloat16
        assert ProductLoss()(pred, pred) == expected


@each
def test_half_precision_of_large_sums(cfg):
    """262144 pixels: their number and their sum overflow float16."""
    pred, target, _ = maps(cfg, size=(512, 256))
    value, grad = run(build(cfg), (pred + 3).half(), target)
    assert 0 < value < 100 and torch.isfinite(grad).all()


@each
def test_gradient_is_that_of_finite_differences(cfg):
    pred, target, mask = maps(cfg, size=(8, 8))
    loss = build(cfg)
    pred, target = pred.double().requires_grad_(), target.double()

    def function(values):
        torch.manual_seed(3)
        return loss(values, target, mask)

    if cfg['type'] == 'HDNLoss':
        # no gradient flows through its median, by definition
        value = function(pred)
        grad, = torch.autograd.grad(value, pred)
        assert torch.isfinite(grad).all() and grad.any()
    else:
        assert torch.autograd.gradcheck(function, pred, eps=1e-7, atol=1e-4)


@each
@pytest.mark.parametrize('value', [0., 0.3, -2.])
def test_gradient_of_constant_maps_is_finite(cfg, value):
    pred, target, mask = maps(cfg)
    for constant in (pred, target):
        constant.fill_(value)
        loss, grad = run(build(cfg), pred, target, mask)
        assert np.isfinite(loss) and torch.isfinite(grad).all()
        perfect, grad = run(build(cfg), target, target, mask)
        assert np.isfinite(perfect) and torch.isfinite(grad).all()


@each
def test_weight_and_name(cfg):
    pred, target, mask = maps(cfg)
    single = run(build(cfg), pred, target, mask)[0]
    loss = build(cfg, loss_weight=0.25, loss_name='loss_other')
    assert run(loss, pred, target, mask)[0] == pytest.approx(single / 4)
    assert loss.loss_name == 'loss_other'


def test_names_are_distinct_and_summed_by_mmengine():
    names = {cfg['type']: build(cfg).loss_name for cfg in CONFIGS}
    assert len(set(names.values())) == len(names) == 7
    assert all(name.startswith('loss_') for name in names.values())


def test_every_class_is_covered_here():
    assert {cfg['type'] for cfg in CONFIGS} | {'DenseLoss'} == set(
        losses.__all__)


@each
def test_seed_decides_and_generator_moves_on(cfg):
    pred, target, mask = maps(cfg)
    values = [run(build(cfg), pred, target, mask, seed=seed)[0]
              for seed in (1, 1, 2)]
    assert values[0] == values[1]
    random = cfg['type'] in ('VirtualNormalLoss', 'HDNLoss')
    assert (values[0] != values[2]) == random


@each
def test_unknown_arguments_are_refused(cfg):
    pred, target, _ = maps(cfg)
    with pytest.raises(TypeError, match='avg_factor'):
        build(cfg)(pred, target, avg_factor=3)
    with pytest.raises(TypeError, match='los_weight'):
        build(cfg, los_weight=3)


@pytest.mark.parametrize('cfg', [cfg for cfg in CONFIGS if build(cfg).channels
                                 ], ids=label)
def test_number_of_channels_is_checked(cfg):
    pred = torch.zeros(2, 2, 8, 8)
    with pytest.raises(ValueError, match=rf'{cfg["type"]}.*\(2, 2, 8, 8\)'):
        build(cfg)(pred, pred)


def test_base_class_is_abstract():
    with pytest.raises(NotImplementedError):
        DenseLoss()(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))


@pytest.mark.parametrize(
    'cfg', [cfg for cfg in CONFIGS if build(cfg).channels != 3], ids=label)
def test_heads_of_mmseg_take_it(cfg):
    """Heads pass weight and ignore_index by keyword, or two maps only."""
    cfg = dict(cfg, type='genpercept_mm.' + cfg['type'])
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (2, 1, 16, 16), generator=generator)
    labels[:, :, :4] = 255
    pred = torch.randn(2, 1, 16, 16, generator=generator)
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=item),
                      gt_depth_map=PixelData(data=item.float()))
        for item in labels]
    head = FCNHead(in_channels=4, channels=4, num_classes=1, num_convs=1,
                   loss_decode=cfg)
    name = head.loss_decode.loss_name
    torch.manual_seed(2)
    value = head.loss_by_feat(pred, samples)[name]
    unknown = labels.float().masked_fill(labels == 255, torch.nan)
    expected = run(build(cfg), pred, unknown, seed=2)[0]
    assert value.item() == pytest.approx(expected)
    head = VPDDepthHead(
        in_channels=[16] * 4, embed_dim=2, feature_dim=16,
        num_deconv_layers=1, num_deconv_filters=(4, ), loss_decode=cfg)
    torch.manual_seed(2)
    value = head.loss_by_feat(pred, samples)[name]
    expected = run(build(cfg), pred, labels.float(), seed=2)[0]
    assert value.item() == pytest.approx(expected)


def test_heads_of_mmpose_take_it():
    """Target weights as third argument, one per keypoint."""
    # after genpercept_mm, which lets it do without compiled mmcv
    from mmpose.models.heads import HeatmapHead
    head = HeatmapHead(
        in_channels=4, out_channels=3, deconv_out_channels=None,
        deconv_kernel_sizes=None,
        loss=dict(type='genpercept_mm.MaskedMSELoss'))
    assert isinstance(head.loss_module, MaskedMSELoss)
    pred, target = torch.rand(2, 2, 3, 6, 4)
    weights = torch.tensor([[1., 0, 1], [0, 0, 1]])
    expected = np.mean([
        (pred[n, k] - target[n, k]).square().mean()
        for n, k in ((0, 0), (0, 2), (1, 2))])
    value = head.loss_module(pred, target, weights)
    assert value.item() == pytest.approx(expected)


@each
def test_the_split_of_a_step_does_not_change_the_loss_of_images(cfg):
    """Four images have masks of different sizes; one mask is empty."""
    pred, target, mask = maps(cfg, number=4)
    mask[1, :, 3:] = False
    mask[2] = False
    loss = build(dict(cfg, reduction='image'))

    def value_and_gradient(size):
        leaf = pred.double().requires_grad_()
        for first in range(0, 4, size):
            chosen = slice(first, first + size)
            with step_draws(0, 1, range(4)[chosen]):
                part = loss(leaf[chosen], target[chosen].double(),
                            mask[chosen])
            # as gradients of micro batches are accumulated
            (part * size / 4).backward()
        return leaf.grad

    whole = value_and_gradient(4)
    assert whole.abs().max() > 0
    for size in (1, 2):
        torch.testing.assert_close(value_and_gradient(size), whole,
                                   rtol=1e-9, atol=1e-15)


def test_images_weigh_alike_or_pixels_do():
    pred = torch.tensor([1., 3.]).view(2, 1, 1, 1).expand(2, 1, 1, 4)
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]]).view(2, 1, 4)
    target = torch.zeros(2, 1, 1, 4)
    assert MaskedMSELoss()(pred, target, mask) == (3 * 1 + 9) / 4
    assert MaskedMSELoss(reduction='image')(pred, target, mask) == (1 + 9) / 2
    with pytest.raises(ValueError, match="MaskedMSELoss: reduction .*'sum'"):
        MaskedMSELoss(reduction='sum')
