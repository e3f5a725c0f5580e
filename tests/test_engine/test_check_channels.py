"""Configs whose neck or head does not fit, and those that do."""
import pytest
import torch
from torch import nn

from genpercept_mm.engine.check_channels import check_channels
from genpercept_mm.models import SDUNet

CHANNELS = [32, 64, 96, 96]
FPN = dict(type='FPN', in_channels=CHANNELS, out_channels=256, num_outs=5)
RPN = dict(type='RPNHead', in_channels=256, anchor_generator=dict(
    type='AnchorGenerator', strides=[4, 8, 16, 32, 64]))


def check(wrapped=False, parts=(), **backbone):
    model = nn.Module()
    model.backbone = SDUNet(arch='mini', **backbone)
    if wrapped:
        model.module, model.backbone = nn.Module(), None
        model.module.backbone = SDUNet(arch='mini', **backbone)
    check_channels(model, dict(
        parts, type='Anything', backbone=dict(in_channels=3), test_cfg=None))


@pytest.mark.parametrize('feature_type, parts', [
    ('pyramid', dict(neck=FPN, rpn_head=RPN)),
    # a second neck reads the first
    ('pyramid', dict(neck=[FPN, dict(in_channels=7)], rpn_head=RPN)),
    ('pre_upsample', dict(neck=FPN, bbox_head=dict(
        anchor_generator=dict(strides=[8, 16, 32, 64, 128])))),
    ('pyramid', dict(neck=dict(FPN, start_level=1), bbox_head=dict(
        anchor_generator=dict(strides=[8, 16, 32, 64, 128])))),
    ('post_upsample', dict(
        decode_head=dict(in_channels=32, in_index=0),
        auxiliary_head=[dict(in_channels=96), dict(in_channels=7)])),
    ('pyramid', dict(decode_head=dict(
        in_channels=64, in_index=1, c1_in_channels=32))),
    ('pyramid', dict(decode_head=dict(
        in_channels=(96, 64), in_index=(2, 1)))),
    # YOLO's neck reads from coarse to fine
    ('pyramid', dict(neck=dict(type='YOLOV3Neck', in_channels=[96, 64, 32]),
                     bbox_head=dict(anchor_generator=dict(
                         strides=[32, 16, 8])))),
    # SOLO resizes the neck's maps
    ('pyramid', dict(neck=FPN, mask_head=dict(strides=[8, 8, 16, 32, 32]))),
    # one of several maps
    ('pyramid', dict(neck=FPN, bbox_head=dict(
        anchor_generator=dict(strides=[4, 8])))),
    ('pyramid', dict(panoptic_head=dict(
        in_channels=CHANNELS, strides=[4, 8, 16, 32]))),
    # anchors of two sides, empty parts, an index that a list does not read
    ('pyramid', dict(neck=FPN, bbox_head=dict(anchor_generator=dict(
        strides=[(4, 4), (8, 8), (16, 16)])))),
    ('pyramid', dict(neck=[], auxiliary_head=[], decode_head=dict(
        in_channels=CHANNELS, in_index=-1))),
])
@pytest.mark.parametrize('wrapped', [False, True])
def test_what_fits_passes(feature_type, parts, wrapped):
    check(wrapped, parts, feature_type=feature_type)


@pytest.mark.parametrize('parts, message', [
    (dict(neck=dict(FPN, in_channels=[256, 512, 1024, 2048])),
     r'model.neck.in_channels must be \[32, 64, 96, 96\], got '
     r'\[256, 512, 1024, 2048\]: SDUNet with feature_type=.post_upsample. '
     r'and out_indices=\(0, 1, 2, 3\) gives \(32, 64, 96, 96\) channels'),
    (dict(decode_head=dict(in_channels=2048, in_index=3)),
     'model.decode_head.in_channels must be 96, got 2048'),
    (dict(decode_head=dict(in_channels=96), auxiliary_head=dict(
        in_channels=1024, in_index=2)),
     'model.auxiliary_head.in_channels must be 96, got 1024'),
    (dict(decode_head=dict(in_channels=96, c1_in_channels=256)),
     'model.decode_head.c1_in_channels must be 32, got 256'),
    (dict(head=dict(in_channels=2048)),
     'model.head.in_channels must be 96, got 2048'),
    (dict(decode_head=dict(in_channels=96, in_index=4)),
     r'decode_head.in_index is 4, and SDUNet gives 4 maps, out_indices='),
    # channels fit, and nothing else would say so
    (dict(neck=FPN, rpn_head=RPN),
     r'model.rpn_head.anchor_generator.strides begins with \[4, 8, 16, 32\], '
     r'and SDUNet gives strides \[8, 8, 16, 32\] there; set its feature_type'),
    (dict(panoptic_head=dict(in_channels=CHANNELS, strides=[4, 8, 16, 32])),
     r'model.panoptic_head.strides begins with \[4, 8, 16, 32\]'),
    (dict(neck=FPN, roi_head=dict(bbox_roi_extractor=dict(
        featmap_strides=[4, 8, 16, 32]))),
     'model.roi_head.bbox_roi_extractor.featmap_strides begins with'),
    (dict(neck=dict(FPN, start_level=1), bbox_head=RPN),
     r'strides begins with \[4, 8, 16\], and SDUNet gives strides '
     r'\[8, 16, 32\]'),
])
@pytest.mark.parametrize('wrapped', [False, True])
def test_what_does_not_fit_is_named(parts, message, wrapped):
    with pytest.raises(ValueError, match=message):
        check(wrapped, parts)


def test_out_indices_decide():
    check(parts=dict(head=dict(in_channels=32)), out_indices=(0, ))
    with pytest.raises(ValueError, match=r'out_indices=\(0,\)'):
        check(parts=dict(head=dict(in_channels=96)), out_indices=(0, ))


def test_other_backbones_are_not_touched():
    model = nn.Module()
    model.backbone = nn.Conv2d(3, 8, 1)
    check_channels(model, dict(neck=FPN))
    check_channels(torch.nn.Linear(1, 1), dict(neck=FPN))
