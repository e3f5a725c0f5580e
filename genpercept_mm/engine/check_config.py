"""Check before training that the parts of a config agree."""
import logging

from mmengine.config import Config
from mmengine.logging import print_log

from genpercept_mm.registry import CODECS


def check_config(cfg):
    """Compare what stands in several places of a config.

    - The codec of the head, of `EncodeTarget` and of the visualizer.
    - ``num_classes`` of the heads and the classes of the data.
    - The ends of warm-ups and the length of the training, with a warning.

    Args:
        cfg (Config): The config of a training; it may lack any part.

    Raises:
        ValueError: If codecs or numbers of classes differ.
    """
    model = cfg.get('model') or {}
    head = model.get('decode_head') or {}
    if isinstance(head, dict):
        _check_codecs(cfg, head)
        _check_classes(cfg, model)
    _check_schedule(cfg)


def _check_codecs(cfg, head):
    if not head.get('codec'):
        return
    own = _fields(head['codec'])
    others = [(path, part['codec']) for path, part in _parts(
        cfg.get('train_dataloader') or {}, 'train_dataloader')
        if _kind(part) == 'EncodeTarget' and 'codec' in part]
    visualizer = cfg.get('visualizer') or {}
    if visualizer.get('codec'):
        others.append(('visualizer', visualizer['codec']))
    for path, codec in others:
        other = _fields(codec)
        if other != own:
            raise ValueError(
                f'{path}.codec is {_text(other)}, and model.decode_head.codec '
                f'is {_text(own)}; give both the same codec.')


def _check_classes(cfg, model):
    heads = [('model.decode_head', model.get('decode_head'))]
    auxiliary = model.get('auxiliary_head') or []
    if isinstance(auxiliary, dict):
        heads.append(('model.auxiliary_head', auxiliary))
    else:
        heads += [(f'model.auxiliary_head.{index}', part)
                  for index, part in enumerate(auxiliary)]
    for path, data in _parts(cfg.get('train_dataloader') or {},
                             'train_dataloader'):
        classes = (data.get('metainfo') or {}).get('classes')
        if not isinstance(classes, (list, tuple)):
            continue
        for name, head in heads:
            count = (head or {}).get('num_classes')
            if count is not None and count != len(classes):
                raise ValueError(
                    f'{name}.num_classes is {count}, and {path}.metainfo has '
                    f'{len(classes)} classes; set num_classes to '
                    f'{len(classes)}.')


def _check_schedule(cfg):
    loop = cfg.get('train_cfg') or {}
    length = loop.get('max_iters')
    schedulers = cfg.get('param_scheduler') or []
    if not isinstance(schedulers, (list, tuple)):
        schedulers = [schedulers]
    for index, part in enumerate(schedulers):
        if not isinstance(part, dict) or length is None or part.get(
                'by_epoch', True):
            continue
        begin, end = part.get('begin', 0), part.get('end')
        if begin >= length:
            what = f'begins at {begin}'
        elif end is not None and length < end < 1e9 and (
                _kind(part) not in ('ConstantLR', )):
            what = f'ends at {end}'
        else:
            continue
        print_log(
            f'param_scheduler.{index} ({_kind(part)}) {what}, but the training'
            f' has {length} iterations (train_cfg.max_iters): the learning '
            'rate will not go through the whole schedule. Set its begin and '
            'end to fractions of the training.', logger='current',
            level=logging.WARNING)


def _parts(node, path):
    """Yield the path and content of every dict in a config."""
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            yield from _parts(value, f'{path}.{key}')
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _parts(value, f'{path}.{index}')


def _kind(part):
    kind = part.get('type')
    return getattr(kind, '__name__', str(kind)).split('.')[-1]


def _fields(codec):
    """Return class and attributes of a codec, defaults included."""
    if isinstance(codec, dict):
        codec = CODECS.build(codec)
    fields = {key: value.tolist() if hasattr(value, 'tolist') else value
              for key, value in vars(codec).items() if key != 'cfg'}
    return type(codec).__name__, fields


def _text(fields):
    name, values = fields
    text = str(Config(dict(codec=values)).codec)
    return f'{name}{text}' if len(text) < 200 else name
