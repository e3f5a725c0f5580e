"""Keep results of trainings and evaluations, and tell which are valid."""
import json
import os
import os.path as osp
import uuid
from glob import escape, glob
from itertools import count

from genpercept_mm.utils.files import write_bytes

TRAINING, RESULT = 'training.json', 'result.json'


def read_result(trial):
    """Read the result of a trial.

    Args:
        trial (Trial): From `plan`.

    Returns:
        dict | None: ``metrics`` {name: value}, ``date``, ``hardware`` and
        others; None if there is no result, or if it belongs to other
        settings or to another training.
    """
    result = _read(trial.folder, RESULT)
    if result is None or result['fingerprint'] != trial.fingerprint:
        return None
    training = _read(trial.train_folder, TRAINING)
    # a result may have been copied here without its training
    if training is not None and training['id'] != result['training']:
        return None
    return result


def write_result(trial, **entries):
    """Write the result of a trial.

    Args:
        trial (Trial): A trial whose training is finished.
        **entries: What the result contains.
    """
    _write(trial.folder, RESULT, dict(
        fingerprint=trial.fingerprint,
        training=_read(trial.train_folder, TRAINING)['id'], **entries))


def finished_checkpoint(trial):
    """Find the checkpoint of a training that ran to its end.

    Args:
        trial (Trial): From `plan`.

    Returns:
        str | None: Its path; None if the training is unfinished or has other
        settings.
    """
    path = osp.join(trial.train_folder, 'train', f'iter_{trial.max_iters}.pth')
    return path if _is_current(trial) and osp.isfile(path) else None


def begin_training(trial):
    """Prepare the folder of a training that begins or continues.

    An older training with other settings is moved aside.

    Args:
        trial (Trial): From `plan`.

    Returns:
        str | None: Where an older training is now, if there was one.
    """
    folder = osp.join(trial.train_folder, 'train')
    aside = None
    if not _is_current(trial):
        if osp.isdir(folder):
            aside = next(path for path in (
                f'{folder}_old{number}' for number in count(1))
                if not osp.exists(path))
            os.rename(folder, aside)
        _write(trial.train_folder, TRAINING, dict(
            fingerprint=trial.train_fingerprint, id=uuid.uuid4().hex))
    return aside


def write_config(path, cfg):
    """Write a config for tools/train.py and tools/test.py.

    Args:
        path (str): File to write.
        cfg (Config): The config.

    Returns:
        str: ``path``.
    """
    write_bytes(path, cfg.pretty_text.encode())
    return path


def read_metrics(folder):
    """Read the metrics that tools/test.py has left in its work dir.

    Args:
        folder (str): Work dir of one test.

    Returns:
        dict[str, float]: All metrics, without the timings.
    """
    path, = glob(osp.join(escape(folder), '*', '*.json'))
    with open(path) as file:
        metrics = json.load(file)
    return {key: value for key, value in metrics.items()
            if key not in ('time', 'data_time')}


def _is_current(trial):
    training = _read(trial.train_folder, TRAINING)
    return (training is not None
            and training['fingerprint'] == trial.train_fingerprint)


def _read(folder, name):
    path = osp.join(folder, name)
    if not osp.isfile(path):
        return None
    with open(path) as file:
        return json.load(file)


def _write(folder, name, content):
    write_bytes(osp.join(folder, name),
                json.dumps(content, indent=2).encode())
