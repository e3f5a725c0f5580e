"""Run an ablation of the paper and compare its table with the published one.

TABLE is 1, 2, 3, 4, 5 or 12: every row is trained and tested, with each seed,
and docs/table_<TABLE>_<scale>.md gets our numbers, the paper's, ranks and, for
a sweep, a plot. Finished results are reused and interrupted trainings
continue, so the same command can be repeated until it succeeds. Text between
<!-- reading --> and <!-- /reading --> in that file is kept. A file with more
results (rows times seeds) than the new table is not replaced; the new one is
written beside it, with .new before the suffix.

TABLE 11 measures run time and memory instead, with random weights, and writes
docs/table_11_<arch>_<device>_<H>x<W>_<dtype>.md.
"""
import argparse
import json
import os
import os.path as osp
import shlex
import signal
import subprocess
import sys
from datetime import date
from functools import partial

import torch
from benchmarking.clock import DTYPES
from benchmarking.hardware import describe_hardware
from benchmarking.protocols import CONFIGS, measure
from reproduction import store
from reproduction.ablations import SCALES, read_tables, row_config
from reproduction.comparison import compare
from reproduction.execution import Execution
from reproduction.iterations import set_iterations
from reproduction.markdown import kept_reading
from reproduction.plan import plan, read_rows, select_rows
from reproduction.report import (
    render_table,
    reported_results,
    results_line,
)
from reproduction.runtime_report import (
    render_runtime_table,
)
from reproduction.sweep_plot import plot_sweep

from genpercept_mm.utils.files import write_bytes

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
RUNTIME_TABLE = '11'
MINI_DATA = 'data/mini_ablations'
MINI_FRAMES = 600
say = partial(print, flush=True)


def positive_int(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not above 0')
    return value


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('table', metavar='TABLE', help='number in the paper')
    parser.add_argument('--out', type=osp.abspath,
                        help='the Markdown file to write; default: see above')
    group = parser.add_argument_group('trained tables')
    group.add_argument(
        '--scale', choices=SCALES, default='mini',
        help='mini (default): a small network and rendered rooms; paper: '
        "Stable Diffusion 2.1 and the paper's data sets, on a GPU in mixed "
        'precision (results with and without are kept apart)')
    group.add_argument(
        '--rows', nargs='+', metavar='ID',
        help='run only these rows; the table still has all of them')
    group.add_argument('--seeds', type=int, nargs='+', default=[0],
                       metavar='SEED', help='seeds of the trainings, all '
                       'that the table shall have; default: 0')
    group.add_argument('--jobs', type=positive_int, default=1,
                       help='trainings at a time; default: 1')
    group.add_argument('--max-iters', type=positive_int, metavar='N',
                       help='train for fewer or more iterations, counting '
                       'accumulated batches one by one; warm-up and decay of '
                       'the learning rate are scaled along; the results are '
                       'kept apart')
    group.add_argument('--work-dir', type=osp.abspath,
                       default=osp.join(ROOT, 'work_dirs', 'reproduce'),
                       help='folder for trainings and results; default: '
                       'work_dirs/reproduce')
    group.add_argument('--list', action='store_true',
                       help='list rows and finished seeds; run nothing')
    group.add_argument('--no-run', action='store_true',
                       help='write the table from the existing results')
    group = parser.add_argument_group('table 11')
    group.add_argument('--shape', type=positive_int, nargs=2,
                       default=[256, 256], metavar=('H', 'W'),
                       help='image size; default: 256 256')
    group.add_argument('--dtype', choices=sorted(DTYPES), default='fp32',
                       help='autocast to this type; weights stay fp32')
    group.add_argument('--arch', choices=sorted(CONFIGS), default='sd21',
                       help='default: sd21, which needs 12 GB of memory')
    group.add_argument('--repeats', type=positive_int, default=3,
                       help='timed predictions of each row; default: 3')
    group.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    args = parser.parse_args()
    args.seeds = list(dict.fromkeys(args.seeds))
    return args


def prepare_data():
    """Render the mini data if they are missing."""
    # the renderer writes it last
    if osp.isfile(osp.join(MINI_DATA, 'metadata_images_split_scene_v1.csv')):
        return
    say(f'rendering {MINI_FRAMES} frames into {MINI_DATA}')
    subprocess.run(
        [sys.executable, 'tools/dataset_converters/miniworld.py', 'rooms',
         '--out-dir', MINI_DATA, '--num-frames', str(MINI_FRAMES)], check=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(
            None, [ROOT, os.environ.get('PYTHONPATH')]))))


def data_parameters():
    """Read what the frames were rendered with, or will be."""
    note = osp.join(MINI_DATA, 'mini_hypersim.json')
    if not osp.isfile(note):
        return dict(num_frames=MINI_FRAMES)
    with open(note) as file:
        return json.load(file)


def load_config(path, scale, max_iters):
    """Load the config of a row as it will be run."""
    cfg = row_config(path, scale)
    if max_iters is not None:
        set_iterations(cfg, max_iters)
    if scale == 'mini':
        # A resumed training draws other random numbers than an unbroken
        # one, so trainings of a few minutes start again.
        cfg.default_hooks.checkpoint.update(
            interval=cfg.train_cfg.max_iters, save_optimizer=False)
    return cfg


def list_rows(trials):
    """Print the rows with the seeds that are finished."""
    rows = {}
    for trial in trials:
        done = rows.setdefault(trial.row, (trial.trainer, []))[1]
        if store.read_result(trial):
            done.append(str(trial.seed))
    for row, (trainer, seeds) in rows.items():
        shared = '' if trainer == row else f'   [training of {trainer.key}]'
        say(f'{row.id:<44}{row.name}{shared}   seeds done: '
            f'{" ".join(seeds) or "none"}')


def write_report(args, out, content, trials, failures):
    """Write Markdown and, for a sweep, the plot."""
    table = content['tables'][args.table]
    metrics = [tuple(metric) for metric in content['metrics']]
    runs, results, failed = [], {}, {}
    for trial in trials:
        run = store.read_result(trial)
        if run is not None:
            runs.append(run)
            results.setdefault(trial.row.key, []).append(run['metrics'])
    for trial in failures:
        failed[trial.row.key] = failed.get(trial.row.key, 0) + 1
    rows = list(dict.fromkeys(trial.row for trial in trials))
    entries = compare(rows, metrics, results, failed)
    title = f'Table {args.table}, {args.scale} scale: {table["title"]}'
    base, suffix = osp.splitext(out)
    reported = reported_results(out)
    target = out
    if len(runs) < reported:
        base += '.new'
        target = base + suffix
    picture = None
    if table['sweep'] and results:
        path = base + '.png'
        plot_sweep(path, title, table['sweep'], entries)
        picture = osp.basename(path)
    command = ['python', 'tools/analysis_tools/reproduce.py', args.table,
               '--scale', args.scale, '--seeds', *map(str, args.seeds)]
    if args.max_iters is not None:
        command += ['--max-iters', str(args.max_iters)]
    cfg = trials[0].cfg
    details = [
        results_line(len(runs), len(trials)),
        f'seeds: {", ".join(map(str, args.seeds))}',
        f'training: {cfg.train_cfg.max_iters:g} iterations with batches of '
        f'{cfg.auto_scale_lr.base_batch_size}, in '
        f'{"mixed precision (fp16)" if trials[0].amp else "fp32"}']
    text = render_table(title, shlex.join(command), entries, metrics, runs,
                        details, kept_reading(out), picture)
    write_bytes(target, text.encode())
    say(f'\n{text.split("## Reading")[0]}\n{target}')
    if target != out:
        say(f'{out} has {reported} results and is left as it is, as this '
            f'table has {len(runs)}. Give --seeds all seeds that it shall '
            f'have, or move {target} there.')


def reproduce(args):
    """Train, test and report; return the exit status."""
    content = read_tables()
    rows = read_rows(content['tables'])
    select_rows(rows, args.table, args.rows)
    variant = args.scale if args.max_iters is None else (
        f'{args.scale}_{args.max_iters}-iterations')
    out = args.out or osp.join('docs', f'table_{args.table}_{variant}.md')
    # refuses a file that it would damage before anything runs
    kept_reading(out)
    data = None
    if args.scale == 'mini':
        if not (args.list or args.no_run):
            prepare_data()
        data = data_parameters()
    trials = plan(
        rows, args.table, args.seeds, osp.join(args.work_dir, variant),
        partial(load_config, scale=args.scale, max_iters=args.max_iters),
        data, amp=args.scale == 'paper' and torch.cuda.is_available())
    if args.list:
        list_rows(trials)
        return 0
    failures = {}
    if not args.no_run:
        failures = Execution(ROOT, args.jobs, say).run([
            trial for trial in trials
            if args.rows is None or trial.row.id in args.rows])
    write_report(args, out, content, trials, failures)
    return 1 if failures else 0


def measure_runtime(args):
    """Measure table 11 and report; return the exit status."""
    shape = 'x'.join(map(str, args.shape))
    out = args.out or osp.join(
        'docs', f'table_11_{args.arch}_{torch.device(args.device).type}_'
        f'{shape}_{args.dtype}.md')
    reading = kept_reading(out)
    measurements = measure(args.arch, args.shape, args.dtype, args.device,
                           args.repeats, say)
    command = ['python', 'tools/analysis_tools/reproduce.py', '11',
               '--shape', *map(str, args.shape), '--dtype', args.dtype,
               '--arch', args.arch, '--repeats', str(args.repeats),
               '--device', args.device]
    hardware = describe_hardware(args.device, torch.get_num_threads())
    text = render_runtime_table(measurements, shlex.join(command), [
        f'hardware: {hardware["hardware"]}; torch {hardware["torch"]}',
        f'{args.arch}, image {shape}, {args.dtype}',
        f'date: {date.today().isoformat()}'], reading)
    write_bytes(out, text.encode())
    say(f'\n{text}\n{out}')
    return 0


def end_on_sigterm(number, frame):
    raise KeyboardInterrupt


def main():
    args = parse_args()
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, end_on_sigterm)
    try:
        status = (measure_runtime(args) if args.table == RUNTIME_TABLE else
                  reproduce(args))
    except (ValueError, OSError, ImportError, RuntimeError,
            subprocess.CalledProcessError) as error:
        sys.exit(f'reproduce.py: {error}')
    except KeyboardInterrupt:
        say('\nstopped; the same command continues from here')
        status = 130
    sys.exit(status)


if __name__ == '__main__':
    main()
