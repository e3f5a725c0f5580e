"""Published weights on benchmarks, beside the numbers of their papers."""
import datetime
import json
import os.path as osp
import time
from math import isfinite

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.infer import BaseInferencer
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from genpercept_mm.registry import DATASETS, METRICS
from genpercept_mm.utils.files import write_bytes
from genpercept_mm.version import __version__

from .model_loading import init_model, read_model
from .precision import find_dtype, use_precision
from .zoo import find_entry, get_weights, weight_checksums

#: The config whose test sets and metrics judge a task.
CONFIGS = dict(
    depth='genpercept_vae_hypersim-vkitti2-depth.py',
    disparity='genpercept_vae_hypersim-vkitti2-disparity.py',
    normal='genpercept_vae_hypersim-normal.py',
    dis='genpercept_vae_dis5k-dis.py',
    matting='genpercept_vae_p3m10k-matting.py',
    seg='genpercept_vae_hypersim-seg.py')


def verify(name, data_root, out=None, device=None, dtype='fp32',
           num_workers=2):
    """Evaluate a published model on the benchmarks that are there.

    Benchmarks have the layouts of the configs, below ``data_root`` instead of
    ``data``. Each is run with the sizes, crops, alignment and metrics of the
    paper's protocol; a model that this package brings, on its own test set.

    Args:
        name (str): See `list_models`.
        data_root (str): Folder with the folders of benchmarks.
        out (str, optional): JSON file for the report. Benchmarks that it
            holds already, for the same weights, precision and images, are not
            run again.
        device (str, optional): None takes the best one there is.
        dtype (str): ``'fp32'``, ``'fp16'`` or ``'bf16'``. Defaults to
            'fp32'.
        num_workers (int): Processes that load images. Defaults to 2.

    Returns:
        dict: ``name``, ``weights`` (SHA-256 by file), ``config``, and
        ``benchmarks``: for each a dict with ``images``, ``seconds``,
        ``device`` and so on, ``ours``, and ``paper``, the published numbers.

    Raises:
        FileNotFoundError: If none of the benchmarks is below ``data_root``.
        OSError: If the weights are missing and cannot be downloaded.
        ValueError: If the name is unknown, or ``out`` holds another report.
    """
    entry = find_entry(name)
    task, bundled = entry['Metadata']['Task'], 'Bundled' in entry['Metadata']
    cfg = read_model(get_weights(name))[0] if bundled else _task_config(task)
    datasets, missing = _find_datasets(cfg, data_root)
    for text in missing:
        print_log(f'verify: {text}', logger='current')
    if not datasets:
        raise FileNotFoundError(
            f'verify: {data_root} holds no benchmark of {task}; expected '
            f'one of: {", ".join(_roots(cfg, data_root))}.')
    path = get_weights(name)
    report = dict(
        name=name, task=task, weights=weight_checksums(name), dtype=dtype,
        genpercept_mm=__version__,
        config='that of the checkpoint' if bundled else CONFIGS[task],
        benchmarks={})
    done = report['benchmarks'] = _earlier(out, report)
    todo = {label: dataset for label, dataset in datasets.items()
            if done.get(label, {}).get('images') != len(dataset)}
    for label in set(datasets) - set(todo):
        print_log(f'verify: {label} is in {out} already', logger='current')
    if not todo:
        return report
    network = init_model(path, device=device)
    precision = use_precision(network, find_dtype(
        dtype, next(network.parameters()).device))
    for label, dataset in todo.items():
        begin = time.time()
        ours = _evaluate(network, dataset, _metrics(cfg, label), precision,
                         num_workers, label)
        done[label] = dict(
            images=len(dataset), seconds=round(time.time() - begin, 1),
            date=datetime.date.today().isoformat(), torch=torch.__version__,
            device=_describe_device(network), ours=ours,
            paper=_published(entry, label))
        if out is not None:
            write_bytes(out, (json.dumps(report, indent=1) + '\n').encode())
    return report


def table(report):
    """Return the rows of a report, lists of str, the header first."""
    rows = [['benchmark', 'images', 'metric', 'ours', 'paper']]
    for label, result in report['benchmarks'].items():
        shown = {key: value for key, value in result['ours'].items()
                 if key in result['paper']} or result['ours']
        for key, value in shown.items():
            paper = result['paper'].get(key)
            rows.append([label, str(result['images']), key, *(
                '-' if number is None else f'{number:.4g}'
                for number in (value, paper))])
    return rows


def _earlier(out, report):
    """Return benchmarks of an earlier report on the same weights."""
    if out is None or not osp.isfile(out):
        return {}
    try:
        with open(out) as file:
            before = json.load(file)
        same = all(before[key] == report[key] for key in (
            'name', 'weights', 'dtype', 'config', 'genpercept_mm'))
        benchmarks = before['benchmarks']
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f'verify: {out} is not a report, or damaged '
                         f'({error!r}); choose another file.') from error
    if not same:
        raise ValueError(
            f'verify: {out} is the report of other weights, another precision '
            'or version; choose another file.')
    return benchmarks


def _task_config(task):
    folder = BaseInferencer._get_repo_or_mim_dir('genpercept_mm')
    return Config.fromfile(osp.join(folder, 'configs', CONFIGS[task]))


def _split(cfg):
    """List the configs of single benchmarks: those of a ConcatDataset, and of
    each subset."""
    dataset = cfg.test_dataloader.dataset
    for part in dataset.get('datasets') or [dataset]:
        subsets = part.get('subset')
        if isinstance(subsets, (list, tuple)):
            for subset in subsets:
                yield Config(dict(part, subset=subset))._cfg_dict
        else:
            yield part


def _below(path, data_root):
    return osp.join(data_root, osp.relpath(path, 'data'))


def _roots(cfg, data_root):
    return sorted({_below(part.data_root, data_root) for part in _split(cfg)})


def _find_datasets(cfg, data_root):
    """Build the benchmarks that are there; return them by name, and what is
    said about the others."""
    found, missing = {}, []
    with DefaultScope.overwrite_default_scope('mmseg'):
        for part in _split(cfg):
            root = _below(part.data_root, data_root)
            if not osp.isdir(root):
                missing.append(f'{root} is not there')
                continue
            try:
                dataset = DATASETS.build(dict(part, data_root=root))
            except FileNotFoundError as error:
                missing.append(str(error).split('\n')[0])
                continue
            label = dataset.get_data_info(0).get('dataset_name') or (
                osp.basename(root))
            found[label] = dataset
    return found, missing


def _metrics(cfg, label):
    """List the metrics of a benchmark, without prefix."""
    configs = cfg.test_evaluator
    configs = [configs] if isinstance(configs, dict) else configs
    own = [config for config in configs
           if config.get('dataset_name') in (None, label)]
    with DefaultScope.overwrite_default_scope('mmseg'):
        return [METRICS.build(dict(config)) for config in own]


@torch.no_grad()
def _evaluate(network, dataset, metrics, precision, num_workers, label):
    from rich.progress import track
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = dict(network.dataset_meta,
                                  **(dataset.metainfo or {}))
    loader = DataLoader(dataset, batch_size=1, num_workers=num_workers,
                        collate_fn=pseudo_collate)
    for batch in track(loader, label):
        with precision():
            samples = network.test_step(batch)
        evaluator.process(samples, batch)
    values = evaluator.evaluate(len(dataset))
    # JSON has no NaN
    return {key.split('/')[-1]: float(value) if isfinite(value) else None
            for key, value in values.items()}


def _published(entry, label):
    """Find the numbers of the paper for a benchmark, a dict by metric."""
    def plain(text):
        return ''.join(filter(str.isalnum, text.lower())
                       ).removeprefix('dsine')

    for result in entry.get('Results') or ():
        if plain(result['Dataset']) == plain(label):
            return dict(result['Metrics'])
    return {}


def _describe_device(network):
    device = next(network.parameters()).device
    return (torch.cuda.get_device_name(device) if device.type == 'cuda'
            else device.type)
