"""Publish a checkpoint: what inference needs, with its hash in the name.

Optimizer, schedulers, logged values and the run's own data are dropped; the
config as text (with its paths), the data set's classes and colours, and
versions are kept. If the training used EMAHook, the averaged weights are
published. --config makes an entry for a metafile, which is printed or, with
--metafile, written into one. mmengine loads .pth files anywhere; .safetensors
files load in this package's tools, and publishing one with --format pth turns
it into a .pth file again.
"""
import argparse
import json
import os.path as osp
import pickle
import sys

from metafiles import add_entry, model_entry, read_results, write_entry
from mmengine.config import Config
from publishing import publish, strip_checkpoint

from genpercept_mm.converters.conversion import read_checkpoint
from genpercept_mm.utils.files import write_bytes
from genpercept_mm.utils.trained_weights import KEY


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='.pth or .safetensors file')
    parser.add_argument(
        'out_prefix', help='the new file is OUT_PREFIX-<hash>.<format>')
    parser.add_argument(
        '--format', choices=['pth', 'safetensors'], default='pth',
        help='default: pth')
    parser.add_argument(
        '--config',
        help='config of the model: names the entry, and is stored in a '
        'checkpoint that does not have one')
    parser.add_argument(
        '--metafile',
        help='metafile to write the entry into; an entry of the same name '
        'keeps its Metadata')
    parser.add_argument(
        '--collection', default='GenPercept', help='default: GenPercept')
    parser.add_argument(
        '--results',
        help='.json file that tools/test.py wrote for this checkpoint, '
        '<work dir>/<time>/<time>.json')
    parser.add_argument(
        '--task', help='task of --results, e.g. "Semantic Segmentation"')
    parser.add_argument(
        '--dataset',
        help='data set of --results; default: the prefix of the metrics, '
        'such as nyu in nyu/abs_rel')
    parser.add_argument(
        '--training-data', nargs='+', metavar='NAME',
        help='data sets it was trained on')
    args = parser.parse_args()
    if not args.config and (args.metafile or args.results):
        parser.error('--metafile and --results need --config')
    if bool(args.results) != bool(args.task):
        parser.error('--results and --task go together')
    return args


def read_entry(args, cfg, meta):
    """Describe the model, without the name of its file."""
    results = None
    if args.results:
        with open(args.results) as file:
            text = file.read()
        try:
            metrics = dict(json.loads(text))
        except (TypeError, ValueError) as error:
            raise ValueError(f'{args.results} is not what tools/test.py '
                             f'writes ({error}).') from error
        results = read_results(metrics, args.task, args.dataset)
    return model_entry(args.config, cfg, meta, '', args.collection, results,
                       args.training_data)


def read_metafile(args):
    with open(args.metafile, encoding='utf-8') as file:
        return file.read()


def run(args):
    checkpoint, dropped = strip_checkpoint(read_checkpoint(args.checkpoint))
    meta = checkpoint['meta']
    entry = None
    if args.config:
        cfg = Config.fromfile(args.config)
        meta.setdefault('cfg', cfg.pretty_text)
        entry = read_entry(args, cfg, meta)
    if args.metafile:
        # fails before anything is written
        add_entry(read_metafile(args), entry)
    path = publish(checkpoint, args.out_prefix, args.format)

    state = checkpoint['state_dict']
    print(f'{path}: {len(state)} tensors, '
          f'{sum(value.numel() for value in state.values()):,} values')
    if dropped:
        print(f'Left out: {", ".join(dropped)}')
    if 'ema_state_dict' in dropped:
        print('The weights are the averaged ones')
    if KEY in meta:
        print("It holds trained weights only: users need the config's "
              'pretrained weights too; merge_lora.py makes whole '
              'checkpoints')
    if entry is None:
        return
    entry['Weights'] = osp.basename(path)
    if args.metafile:
        text = add_entry(read_metafile(args), entry)
        try:
            write_bytes(args.metafile, text.encode())
        except OSError as error:
            sys.exit(f'publish_model: {path} is written, but the entry is '
                     f'not: {error}\n{write_entry(entry)}')
        print(f'{args.metafile}: entry {entry["Name"]}')
    else:
        print(f'\n{write_entry(entry)}', end='')


def main():
    args = parse_args()
    try:
        run(args)
    except (OSError, ValueError, RuntimeError,
            pickle.UnpicklingError) as error:
        sys.exit(f'publish_model: nothing written. {error}')


if __name__ == '__main__':
    main()
