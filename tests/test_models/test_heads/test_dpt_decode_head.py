import pytest
import torch
import torch.nn.functional as F

from genpercept_mm.models import DPTDecodeHead

DEPTH = dict(type='AffineDepthCodec')
# Names and shapes of the published dpt_head_identity
OFFICIAL = {
    'feature_upsample_0.conv.weight': (320, 320, 3, 3),
    'feature_upsample_0.conv.bias': (320, ),
    'head.projection.weight': (256, 256, 3, 3),
    'head.projection.bias': (256, ),
    'head.head.0.weight': (128, 256, 3, 3),
    'head.head.0.bias': (128, ),
    'head.head.2.weight': (32, 128, 3, 3),
    'head.head.2.bias': (32, ),
    'head.head.4.weight': (1, 32, 1, 1),
    'head.head.4.bias': (1, ),
}
for i, width in enumerate((320, 640, 1280, 1280)):
    OFFICIAL[f'neck.convs.{i}.weight'] = (256, width, 3, 3)
    layer = f'neck.fusion_stage.layers.{i}'
    OFFICIAL[f'{layer}.projection.weight'] = (256, 256, 1, 1)
    OFFICIAL[f'{layer}.projection.bias'] = (256, )
    for k in (1, 2):
        for part in ('residual_layer1', 'residual_layer2')[i == 0:]:
            OFFICIAL[f'{layer}.{part}.convolution{k}.weight'] = (
                256, 256, 3, 3)
SMALL = dict(in_channels=(8, 16, 24, 24), channels=12, head_channels=6)


def small_features(sizes=((8, 10), (8, 10), (4, 5), (2, 3))):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, c, *size, generator=generator)
            for c, size in zip(SMALL['in_channels'], sizes)]


def test_tensors_are_the_published_ones():
    head = DPTDecodeHead(DEPTH)
    assert {k: tuple(v.shape) for k, v in head.state_dict().items()
            } == OFFICIAL
    assert sum(p.numel() for p in head.parameters()) == 18474753
    head.init_weights()
    assert head.head.projection.weight.std().item() == pytest.approx(
        .02, rel=.02)
    assert (head.head.projection.bias == 0).all()


def reference(state, features):
    """The published architecture in functional calls."""

    def conv(name, x, padding=1):
        return F.conv2d(x, state[f'{name}.weight'],
                        state.get(f'{name}.bias'), padding=padding)

    def residual(name, x):
        y = conv(f'{name}.convolution1', x.relu())
        return x + conv(f'{name}.convolution2', y.relu())

    features = list(features)
    features[0] = conv('feature_upsample_0.conv', features[0].
                       repeat_interleave(2, 2).repeat_interleave(2, 3))
    features = [conv(f'neck.convs.{i}', x) for i, x in enumerate(features)]
    x = None
    for i, feature in enumerate(features[::-1]):
        name = f'neck.fusion_stage.layers.{i}'
        if x is None:
            x = feature
        else:
            feature = F.interpolate(feature, x.shape[2:], mode='bilinear')
            x = x + residual(f'{name}.residual_layer1', feature)
        x = residual(f'{name}.residual_layer2', x)
        x = F.interpolate(
            x, scale_factor=2, mode='bilinear', align_corners=True)
        x = conv(f'{name}.projection', x, 0)
    x = conv('head.projection', x).relu()
    x = F.interpolate(conv('head.head.0', x), scale_factor=2,
                      mode='bilinear', align_corners=True)
    return conv('head.head.4', conv('head.head.2', x).relu(), 0)


@pytest.mark.parametrize('codec, channels', [
    (DEPTH, 1), (dict(type='NormalCodec'), 3)])
def test_forward_is_the_published_one(codec, channels):
    head = DPTDecodeHead(codec, **SMALL)
    features = small_features()
    with torch.no_grad():
        found = head(features)
        expected = reference(head.state_dict(), features)
    assert found.shape == (2, channels, 64, 96)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_ranges():
    output = torch.stack([torch.arange(6.), torch.arange(6.) * 10 + 4]).view(
        2, 1, 2, 3)
    ramp = torch.linspace(-1, 1, 6).view(2, 3)
    for image in DPTDecodeHead(DEPTH, **SMALL).bound(output):
        torch.testing.assert_close(image[0], ramp)
    official = DPTDecodeHead(
        DEPTH, out_range='batch_minmax', **SMALL).bound(output)
    torch.testing.assert_close(official, output / 54 * 2 - 1)
    clip = DPTDecodeHead(DEPTH, out_range='clip', **SMALL).bound(output)
    assert (clip == output.clamp(max=1)).all()
    constant = DPTDecodeHead(DEPTH, **SMALL).bound(torch.ones(1, 1, 2, 2))
    assert torch.isfinite(constant).all()


def test_quantities_with_a_scale_are_not_stretched():
    matte = DPTDecodeHead(dict(type='MatteCodec'), **SMALL)
    empty = torch.linspace(-1, -.99, 6).view(1, 1, 2, 3)
    assert (matte.bound(empty) == empty).all()
    with pytest.raises(ValueError, match='clip'):
        DPTDecodeHead(dict(type='MatteCodec'), out_range='minmax')


def test_bad_input():
    with pytest.raises(ValueError, match='out_range'):
        DPTDecodeHead(DEPTH, out_range='sigmoid')
    with pytest.raises(ValueError, match='four'):
        DPTDecodeHead(DEPTH, in_channels=(1, 2))
    with pytest.raises(ValueError, match='out_indices'):
        DPTDecodeHead(DEPTH, **SMALL)(small_features()[:3])
