"""Plan the trainings and evaluations that a table of the paper needs."""
import copy
import hashlib
import json
import os
import os.path as osp
from collections import namedtuple
from functools import lru_cache

# what does not affect a training
TEST_KEYS = ('test_dataloader', 'test_evaluator', 'test_cfg', 'test_pipeline',
             'tta_model', 'tta_pipeline', 'visualizer', 'vis_backends',
             'work_dir', 'launcher', 'log_level', 'log_processor')
# what a result depends on besides its training and the model
RESULT_KEYS = ('test_dataloader', 'test_evaluator', 'test_cfg')
# config fields that name files with weights
WEIGHT_KEYS = ('pretrained', 'checkpoint', 'prompt_embeds', 'load_from')
# larger files are identified by name and size
HASHED_BYTES = 64 * 2**20

Row = namedtuple('Row', 'table id name config trained_by group x paper')
Row.__doc__ = """A row of a table.

``trained_by`` is the (table, id) of the row whose training is evaluated: the
row's own if it trains. The other fields are those of tables.yml.
"""
Row.key = property(lambda self: f'{self.table}/{self.id}')


def read_rows(tables):
    """List the rows of all tables.

    Args:
        tables (dict): ``tables`` of tables.yml: {number: dict(rows=[...])}.

    Returns:
        dict[tuple[str, str], Row]: By table and id, in the order of the
        file.

    Raises:
        ValueError: If an id repeats, or if ``train_as`` names a row that
            does not exist or leads in a circle.
    """
    rows, borrowed = {}, {}
    for table, content in tables.items():
        for entry in content['rows']:
            key = str(table), entry['id']
            if key in rows:
                raise ValueError(f'tables.yml: table {table} has two rows '
                                 f'with the id {entry["id"]!r}.')
            rows[key] = Row(
                *key, entry['name'], entry['config'], key,
                entry.get('group'), entry.get('x'), tuple(entry['paper']))
            if entry.get('train_as'):
                *other, row = entry['train_as'].split('/')
                borrowed[key] = (other or [key[0]])[0], row
    for key in borrowed:
        seen = [key]
        while seen[-1] in borrowed:
            seen.append(borrowed[seen[-1]])
            if seen[-1] not in rows or seen[-1] in seen[:-1]:
                raise ValueError(
                    f'tables.yml: train_as of {"/".join(key)} leads to '
                    f'{"/".join(seen[-1])}, which does not exist or leads '
                    'back; name a row that trains.')
        rows[key] = rows[key]._replace(trained_by=seen[-1])
    return rows


def select_rows(rows, table, ids=None):
    """Pick rows of one table.

    Args:
        rows (dict): From `read_rows`.
        table (str): Number of the table.
        ids (Sequence[str], optional): Ids of the rows. Defaults to None,
            which takes all.

    Returns:
        list[Row]: In the order of the table.

    Raises:
        ValueError: If the table or a row does not exist; the message lists
            those that do.
    """
    found = [row for row in rows.values() if row.table == table]
    if not found:
        there = ', '.join(dict.fromkeys(row.table for row in rows.values()))
        raise ValueError(f'there is no table {table!r}; choose from {there}, '
                         'or 11 for run time and memory.')
    known = [row.id for row in found]
    unknown = sorted(set(ids or ()) - set(known))
    if unknown:
        raise ValueError(f'table {table} has no row {", ".join(unknown)}; '
                         'its rows are:\n  ' + '\n  '.join(known))
    return [row for row in found if ids is None or row.id in ids]


class Trial:
    """One row with one seed.

    Args:
        row (Row): The row.
        seed (int): Seed of the training and of the noise in the evaluation.
        cfg (Config): The config that is evaluated.
        trainer (Row): The row that trains, often ``row`` itself.
        train_cfg (Config): The config that is trained.
        work_dir (str): Folder of all tables.
        data (object): Parameters of rendered data. Defaults to None.
        amp (bool): Whether to train with mixed precision. Defaults to False.

    Attributes:
        folder (str): Folder of the results: that of the training if the row
            that trains is evaluated in the same way.
        train_folder (str): Folder of the training.
        train_fingerprint (str): Changes with anything that the training
            depends on.
        fingerprint (str): Changes with anything that the result depends on.
    """

    def __init__(self, row, seed, cfg, trainer, train_cfg, work_dir,
                 data=None, amp=False):
        self.row, self.seed, self.trainer = row, seed, trainer
        self.amp = amp
        self.cfg, self.train_cfg = (
            _with_seed(one, seed) for one in (cfg, train_cfg))
        self.folder, self.train_folder = (
            osp.join(work_dir, one.table, one.id, f'seed{seed}')
            for one in (row, trainer))
        self.train_fingerprint = _digest(
            [training_fingerprint(train_cfg), seed, data,
             *(['amp'] if amp else [])])
        self.fingerprint, trainers = (_digest([
            self.train_fingerprint, one['model'],
            *(one.get(key) for key in RESULT_KEYS)])
            for one in (cfg.to_dict(), train_cfg.to_dict()))
        if self.fingerprint == trainers:
            self.folder = self.train_folder

    @property
    def name(self):
        """str: Row and seed, for messages."""
        return f'{self.row.key} seed {self.seed}'

    @property
    def max_iters(self):
        """int: Number of iterations of the training."""
        return self.train_cfg.train_cfg.max_iters


def _with_seed(cfg, seed):
    cfg = copy.deepcopy(cfg)
    cfg.merge_from_dict({'model.test_cfg.seed': seed})
    return cfg


def plan(rows, table, seeds, work_dir, load_config, data=None, amp=False):
    """List the trials of a table.

    Rows of the table with equal training settings share the training of the
    first of them. A row that names another in ``train_as`` uses its training.

    Args:
        rows (dict): From `read_rows`.
        table (str): Number of the table.
        seeds (Sequence[int]): Seeds of the trainings.
        work_dir (str): Folder for all tables.
        load_config (Callable): Takes the path of a row's config and returns
            a Config.
        data (object): Parameters of rendered data; results with other
            parameters are invalid. Defaults to None.
        amp (bool): Whether to train with mixed precision; results with and
            without are kept apart. Defaults to False.

    Returns:
        list[Trial]: All rows with the first seed, then with the next.
    """
    configs, trainers = {}, {}

    def load(row):
        if row.config not in configs:
            configs[row.config] = load_config(row.config)
        return configs[row.config]

    chosen = []
    for row in select_rows(rows, table):
        trainer = rows[row.trained_by]
        if trainer is row:
            trainer = trainers.setdefault(
                training_fingerprint(load(row)), row)
        chosen.append((row, load(row), trainer, load(trainer)))
    return [Trial(row, seed, cfg, trainer, train_cfg, work_dir, data, amp)
            for seed in seeds for row, cfg, trainer, train_cfg in chosen]


def by_training(trials):
    """Group trials that evaluate the same training.

    Args:
        trials (Sequence[Trial]): Trials of one or more tables.

    Returns:
        list[list[Trial]]: In order of first appearance.
    """
    groups = {}
    for trial in trials:
        groups.setdefault(trial.train_folder, []).append(trial)
    return list(groups.values())


def training_fingerprint(cfg):
    """Hash what a training depends on, except for the seed.

    Args:
        cfg (Config): Settings for testing, logging and drawing are ignored;
            files with weights are identified by their content.

    Returns:
        str: 16 hexadecimal digits.
    """
    settings = {key: value for key, value in cfg.to_dict().items()
                if key not in TEST_KEYS}
    settings['model'] = {key: value for key, value in
                         settings['model'].items() if key != 'test_cfg'}
    return _digest([settings, sorted(
        (source, weights_identity(source))
        for source in set(_weight_sources(settings)))])


def _weight_sources(settings):
    """Yield all sources of weights in nested settings."""
    if isinstance(settings, dict):
        for key, value in settings.items():
            if key in WEIGHT_KEYS and isinstance(value, str):
                yield value
            else:
                yield from _weight_sources(value)
    elif isinstance(settings, (list, tuple)):
        for value in settings:
            yield from _weight_sources(value)


@lru_cache(None)
def weights_identity(source):
    """Hash local files with weights.

    Args:
        source (str): File, folder, ``'mini'`` or hub id.

    Returns:
        str: A hash of the names, sizes and, up to 64 MiB, contents of the
        files; of a folder, those in its sub-folders (``unet/``, ``vae/`` and
        so on), but not the notes beside these. ``source`` itself if nothing
        is local.
    """
    from genpercept_mm.models.utils.diffusers_folder import resolve_source
    folder = resolve_source(source)
    if osp.isfile(folder):
        files = [folder]
    else:
        files = sorted(osp.join(parent, name)
                       for parent, _, names in os.walk(folder)
                       for name in names if parent != folder)
    if not files:
        return source
    entries = []
    for path in files:
        size = osp.getsize(path)
        content = None
        if size <= HASHED_BYTES:
            with open(path, 'rb') as file:
                content = hashlib.sha256(file.read()).hexdigest()
        entries.append([osp.relpath(path, folder), size, content])
    return _digest(entries)


def _digest(settings):
    """Hash nested settings; tuples equal lists."""
    text = json.dumps(settings, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
