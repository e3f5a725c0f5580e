"""Check before training that neck and heads fit the backbone."""
from genpercept_mm.models import SDUNet

# other necks may read only some maps, or in another order
NECKS = ('FPN', 'FPN_CARAFE', 'PAFPN', 'NASFPN', 'ChannelMapper')
STRIDES = ('rpn_head.anchor_generator.strides',
           'bbox_head.anchor_generator.strides',
           'roi_head.bbox_roi_extractor.featmap_strides',
           # Mask2Former's
           'panoptic_head.strides', 'decode_head.strides')


def check_channels(model, cfg):
    """Compare a config's channels and strides with those of `SDUNet`.

    Without this check, torch names the convolution whose channels do not
    match, but not the key of the config to change, and wrong strides go
    unnoticed: anchors just have the wrong size. Other backbones are not
    checked, nor is anything behind a neck that is not known to read the maps
    in order.

    ``model`` may be wrapped for several GPUs; ``cfg`` is the config that it
    was built from.

    Raises:
        ValueError: If a neck or head declares channels or strides that
            differ from the backbone's.
    """
    backbone = getattr(getattr(model, 'module', model), 'backbone', None)
    if not isinstance(backbone, SDUNet):
        return
    neck, start = cfg.get('neck'), 0
    # only the first of several necks reads the backbone
    neck = neck[0] if isinstance(neck, list) and neck else neck
    readers = {name: part[0] if isinstance(part, list) and part else part
               for name, part in cfg.items() if name != 'backbone'}
    if neck:
        kind = getattr(neck['type'], '__name__', neck['type'])
        if kind.split('.')[-1] not in NECKS:
            return
        readers, start = dict(neck=neck), neck.get('start_level', 0)
    for name, part in readers.items():
        if isinstance(part, dict):
            _check_part(name, part, backbone)
    strides = list(backbone.out_strides[start:])
    for name in STRIDES:
        declared = cfg
        for key in name.split('.'):
            declared = (declared.get(key) if isinstance(declared, dict)
                        else None)
        # anchors have one stride for both axes, or a pair
        declared = [value[0] if isinstance(value, (list, tuple)) else value
                    for value in declared or ()][:len(strides)]
        if declared != strides[:len(declared)]:
            raise ValueError(
                f'model.{name} begins with {declared}, and SDUNet gives '
                f'strides {strides} there; set its feature_type '
                "('pyramid': 4, 8, 16, 32; 'pre_upsample': 8, 16, 32, 64) or "
                'out_indices, or start_level of the neck.')


def _check_part(name, part, backbone):
    """Compare one reader's channels with those of the maps it reads."""
    given, expected = backbone.out_channels, {}
    index = part.get('in_index')
    several = isinstance(part.get('in_channels'), (list, tuple))
    if several and not isinstance(index, (list, tuple)):
        index = range(len(given))  # all maps
    elif index is None:
        index = -1
    indices = index if several else [index]
    if 'in_channels' in part:
        if any(i not in range(-len(given), len(given)) for i in indices):
            raise ValueError(
                f'model.{name}.in_index is {index}, and SDUNet gives '
                f'{len(given)} maps, out_indices={backbone.out_indices}.')
        expected['in_channels'] = (
            [given[i] for i in indices] if several else given[index])
    if part.get('c1_in_channels'):
        expected['c1_in_channels'] = given[0]
    for key, value in expected.items():
        found = part[key]
        if (list(found) if isinstance(value, list) else found) != value:
            raise ValueError(
                f'model.{name}.{key} must be {value}, got {found}: SDUNet '
                f'with feature_type={backbone.feature_type!r} and '
                f'out_indices={backbone.out_indices} gives {given} channels '
                f'at strides {backbone.out_strides}.')
