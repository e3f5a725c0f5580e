"""The paper's ablations: their tables, and their configs at two scales."""
import inspect
import os.path as osp

import yaml
from mmengine.config import Config
from mmengine.runner import Runner

# relative to the repository, like all paths of configs
ABLATIONS = osp.join('configs', 'ablations')
SCALES = ('paper', 'mini')
ROW_DEFAULTS = dict(train_as=None, group=None, x=None)


def read_tables():
    """Read ``configs/ablations/tables.yml``.

    Returns:
        dict: ``metrics``, pairs (data set, metric) in the order of the
        published numbers, and ``tables``, which maps the paper's number
        (str) to a dict with ``title``, ``sweep`` (what ``x`` is, or None)
        and ``rows``. A row has ``id``, ``name``, ``config`` (for
        `row_config`) and ``paper`` (list[float]); ``train_as`` (``id`` or
        ``table/id`` of the row whose checkpoint it tests), ``group`` and
        ``x`` may be None.

    Raises:
        FileNotFoundError: If the current folder is not the repository.
    """
    with open(_find('tables.yml')) as file:
        content = yaml.safe_load(file)
    for table in content['tables'].values():
        table.setdefault('sweep', None)
        table['rows'] = [dict(ROW_DEFAULTS, **row) for row in table['rows']]
    return content


def row_config(config_path, scale='mini'):
    """Load the config of a row.

    At mini scale, the entries of ``configs/ablations/mini.py`` for all rows,
    for the row's head and for its training data are merged in, and LoRA
    ranks are replaced; the rest of the row stays. Variables that only helped
    to write the config are left out. ``tools/train.py`` and
    ``tools/test.py`` run the result once it is dumped.

    Args:
        config_path (str): Relative to ``configs/ablations``, as in
            ``tables.yml``, or absolute.
        scale (str): ``'paper'`` for the config as it is, or ``'mini'``.
            Defaults to 'mini'.

    Returns:
        Config: The whole config, without bases.

    Raises:
        FileNotFoundError: If the file is missing, or the current folder is
            not the repository.
        ValueError: If ``scale`` is neither of these, or ``mini.py`` does not
            have an entry for the row's head, data or rank.
    """
    if scale not in SCALES:
        raise ValueError(f'row_config: scale must be one of {SCALES}, got '
                         f'{scale!r}.')
    cfg = Config.fromfile(_find(config_path))
    if scale == 'paper':
        return cfg
    mini = Config.fromfile(_find('mini.py'))
    head = _choose(mini, 'heads', cfg.model.decode_head.type, config_path)
    first = cfg.train_dataloader.dataset.datasets[0].type
    data = _choose(mini, 'train_sets', first, config_path)
    cfg.merge_from_dict(mini.common.to_dict())
    cfg.merge_from_dict(dict(
        model=dict(decode_head=head.to_dict()),
        train_dataloader=dict(dataset=data.to_dict())))
    backbone = cfg.model.backbone
    if backbone.get('lora_rank'):
        backbone.lora_rank = _choose(
            mini, 'lora_ranks', backbone.lora_rank, config_path)
    fields = ['custom_imports', *inspect.signature(Runner).parameters]
    return Config({field: cfg[field] for field in fields if field in cfg})


def _find(name):
    path = osp.join(ABLATIONS, name)
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'ablations: {path} does not exist; run from the root of the '
            "repository, and name a row's config as in tables.yml.")
    return path


def _choose(mini, field, key, config_path):
    """Look up what mini.py has for a type, whatever its scope, or a rank."""
    if isinstance(key, str):
        key = key.split('.')[-1]
    if key not in mini[field]:
        raise ValueError(
            f'row_config: {config_path} has {key!r}, and {field} of '
            f'{osp.join(ABLATIONS, "mini.py")} has only '
            f'{list(mini[field])}; add it there.')
    return mini[field][key]
