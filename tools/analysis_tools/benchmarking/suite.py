"""Suites of `benchmark.py`: all variants of a prediction in one process."""
import json
import os.path as osp
import time
import traceback
from collections import namedtuple
from statistics import median

import torch

from genpercept_mm.utils.files import write_whole

from .clock import Clock
from .graphs import compiled, graphed
from .hardware import describe_hardware
from .variants import Variants

REFERENCE = 'diffusers_fp32'
Row = namedtuple('Row', 'title dtype build peer exact run')
Row.__doc__ = """A variant to time.

``build`` takes a `Variants`; ``peer`` is diffusers in the same precision;
``exact`` is the row whose outputs it should equal, or None; ``run`` is
``'eager'``, ``'graph'`` (CUDA graph) or ``'compiled'`` (torch.compile, and a
CUDA graph of the result).
"""


def _rows():
    rows = {}
    for dtype in ('fp32', 'bf16'):
        peer = f'diffusers_{dtype}'
        rows.update({
            peer: Row('diffusers, VAE on both sides', dtype,
                      lambda v, t=dtype: v.diffusers(t), peer, None, 'eager'),
            f'diffusers_tiny_{dtype}': Row(
                'diffusers, AutoencoderTiny on both sides', dtype,
                lambda v, t=dtype: v.diffusers(t, tiny=True), peer, None,
                'eager')})
        heads = dict(
            plain=('VAE head, not folded', dict(head='vae', deploy=False)),
            exact=('VAE head', dict(head='vae')),
            dpt=('DPT head', dict(head='dpt')),
            readout=('readout head', dict(head='readout')),
            small_stem_readout=('small stem, readout head', dict(
                head='readout', small_stem=True)),
            small_stem_decoder=('small stem, small decoder', dict(
                head='vae', small_stem=True, small_decoder=True)))
        for name, (title, options) in heads.items():
            exact = REFERENCE if name in ('plain', 'exact') else (
                f'{name}_fp32' if dtype != 'fp32' else None)
            rows[f'{name}_{dtype}'] = Row(
                title, dtype, lambda v, o=options, t=dtype: v.ours(
                    dtype=t, **o), peer, exact, 'eager')
    rows['bf16'] = rows.pop('exact_bf16')
    for name in ('diffusers_bf16', 'bf16', 'dpt_bf16', 'readout_bf16',
                 'small_stem_readout_bf16'):
        for run in ('graph', 'compiled'):
            rows[f'{name}_{run}'] = rows[name]._replace(run=run)
    for dtype in ('fp32', 'bf16'):
        for steps in (1, 4):
            rows[f'marigold_{steps}_{dtype}'] = Row(
                f'diffusers MarigoldDepthPipeline, steps: {steps}', dtype,
                lambda v, t=dtype, n=steps: _with_steps(v.marigold(t), n),
                f'diffusers_{dtype}', None, 'eager')
    return rows


def _with_steps(predict, steps):
    return lambda x: predict(x, steps)


ROWS = _rows()
#: Rows timed in turns; rows timed once; sizes; batch sizes; calls that are
#: timed together; rounds
Suite = namedtuple('Suite', 'rows once sizes batches calls rounds')
_CPU = (REFERENCE, 'diffusers_bf16', 'diffusers_tiny_fp32', 'plain_fp32',
        'exact_fp32', 'bf16', 'dpt_bf16', 'readout_bf16',
        'small_stem_readout_bf16')
_SINGLE = ('dpt_fp32', 'readout_fp32', 'small_stem_readout_fp32',
           'small_stem_decoder_fp32', 'small_stem_decoder_bf16')
_GPU = (REFERENCE, 'diffusers_bf16', 'diffusers_tiny_bf16', 'plain_fp32',
        'exact_fp32', 'bf16', *_SINGLE[:3], 'dpt_bf16', 'readout_bf16',
        'small_stem_readout_bf16', 'small_stem_decoder_bf16',
        'marigold_1_bf16', 'marigold_4_bf16')
_FAST = tuple(f'{name}_{run}' for run in ('graph', 'compiled') for name in (
    'bf16', 'dpt_bf16', 'small_stem_readout_bf16', 'readout_bf16'))
SUITES = dict(
    cpu=Suite(_CPU, (*_SINGLE, 'marigold_1_fp32', 'marigold_4_fp32'),
              (384, ), (1, ), 1, 5),
    gpu=Suite((*_GPU, 'diffusers_bf16_graph', *_FAST), (), (512, 768), (1, ),
              5, 5))
RATIOS = dict(
    exact_fp32='exact_fp32', bf16='bf16', dpt_bf16='dpt_bf16',
    readout_bf16='readout_bf16',
    small_stem_readout_bf16='small_stem_readout_bf16')


def run_suite(name, out, device, arch='sd21', size=None, full=False,
              only=None, report=print):
    """Time the variants of a suite; what a file in ``out`` already has is
    kept.

    Args:
        name (str): Key of ``SUITES``.
        out (str): Folder for ``benchmark.json`` and ``benchmark.md``, which
            are written after each step.
        device (str): Device to run on.
        arch (str): Key of `variants.CONFIGS`. Defaults to 'sd21'.
        size (int, optional): Edge of the square images instead of the
            suite's. Defaults to None.
        full (bool): Batches of 8 as well, and compiled rows at every size.
            Defaults to False.
        only (Sequence[str], optional): Keys of ``ROWS`` to time. None takes
            those of the suite.
        report (callable): Takes lines of progress. Defaults to ``print``.

    Returns:
        dict: Content of ``benchmark.json``.
    """
    suite = SUITES[name]
    if only is not None:
        suite = suite._replace(rows=tuple(only), once=())
    clock = Clock(device)
    state = _State(out, dict(
        suite=name, arch=arch, **describe_hardware(
            device, torch.get_num_threads())))
    # sizes are fixed, for diffusers as for ours
    torch.backends.cudnn.benchmark = True
    variants = Variants(arch, device)
    begin = time.perf_counter()
    for batch in (*suite.batches, *((8, ) if full else ())):
        for edge in ((size, ) if size else suite.sizes):
            images = torch.rand(
                batch, 3, edge, edge, generator=torch.Generator().manual_seed(
                    0)).to(device) * 2 - 1
            setting = state.setting(edge, batch)
            _run_setting(suite, setting, variants, images, clock, state,
                         lambda text: report(
                             f'[{time.perf_counter() - begin:5.0f} s] '
                             f'{edge}, batch {batch}: {text}'),
                         # a minute for each row
                         compiles=full or edge in (size, suite.sizes[-1]))
    return state.content


@torch.no_grad()
def _run_setting(suite, setting, variants, images, clock, state, report,
                 compiles):
    rows, outputs, functions = setting['rows'], {}, {}
    models = {}
    slow_half = _half_is_slow(clock)
    for key in (*suite.once, *suite.rows):
        spec = ROWS[key]
        if spec.run == 'compiled' and not compiles:
            continue
        row = rows.setdefault(key, dict(
            title=spec.title, dtype=spec.dtype, run=spec.run, seconds=[]))
        once = key in suite.once
        if slow_half and spec.dtype != 'fp32':
            once = True
            if spec.title.startswith('diffusers'):
                row['left_out'] = ('this CPU has no instructions for bf16; '
                                   'a call would take minutes')
        if len(row['seconds']) >= (1 if once else suite.rounds) or (
                'left_out' in row):
            continue
        row.pop('failed', None)
        try:
            function = _prepare(
                key, row, variants, images, clock, outputs, models)
        except Exception as error:  # the others must go on
            row['failed'] = f'{type(error).__name__}: {error}'[:300]
            report(f'{key} failed:\n{traceback.format_exc(limit=-3)}')
            continue
        if once:
            row['seconds'].append(_time(function, images, clock, suite.calls))
            report(f'{key} {row["seconds"][-1] * 1000:.1f} ms')
            models.clear()
        else:
            functions[key] = function
            report(f'{key} is ready, difference '
                   f'{row.get("difference", float("nan")):.2g}')
        state.save()
    for number in range(suite.rounds):
        for key, function in functions.items():
            if len(rows[key]['seconds']) <= number:
                rows[key]['seconds'].append(
                    _time(function, images, clock, suite.calls))
        report(f'round {number + 1}: ' + ', '.join(
            f'{key} {rows[key]["seconds"][-1] * 1000:.1f} ms'
            for key in functions))
        state.save()


def _half_is_slow(clock):
    """Tell whether a convolution takes over twice as long in bf16."""
    conv = torch.nn.Conv2d(64, 64, 3, device=clock.device)
    images = torch.rand(1, 64, 64, 64, device=clock.device)
    half = conv.to(torch.bfloat16), images.to(torch.bfloat16)
    conv = torch.nn.Conv2d(64, 64, 3, device=clock.device)
    seconds, half_seconds = clock.compare(
        [lambda: conv(images), lambda: half[0](half[1])], repeats=3, warmup=1)
    return half_seconds > 2 * seconds


def _prepare(key, row, variants, images, clock, outputs, models):
    """Build a row, compare its output, and read its memory and parts."""
    spec = ROWS[key]
    kind = spec.title, spec.dtype
    if kind not in models:
        others = clock.allocated()
        models[kind] = spec.build(variants), clock.allocated() - others
    predict, weights = models[kind]
    if spec.run == 'compiled':
        predict = compiled(predict, images)
    if spec.run != 'eager' and clock.cuda:
        predict = graphed(predict, images)
    if clock.cuda and spec.run == 'eager':
        predict(images)
        # of the models that wait for their turn, none counts
        others = clock.allocated() - weights
        row['peak_gib'] = clock.peak(lambda: predict(images)) - others
    outputs[key] = predict(images).float().cpu()
    exact = outputs.get(spec.exact)
    if exact is not None and exact.shape == outputs[key].shape:
        row['difference'] = float(
            (outputs[key] - exact).abs().max() / (exact.max() - exact.min()))
    if clock.cuda and spec.run == 'eager' and hasattr(predict, 'run_unet'):
        latent = predict.encode(images)
        features = predict.run_unet(latent)
        row['parts'] = {
            name: _time(call, value, clock, 5) for name, call, value in (
                ('stem', predict.encode, images),
                ('unet', predict.run_unet, latent),
                ('head', predict.decode, features))}
    return predict


def _time(function, images, clock, calls):
    """Return the seconds of a call, of so many in a row."""

    def run():
        for _ in range(calls):
            function(images)

    return clock.seconds(run) / calls


class _State:
    """``benchmark.json``, and the table beside it."""

    def __init__(self, out, machine):
        self.path = osp.join(out, 'benchmark.json')
        self.content = dict(machine, settings=[], ratios={})
        if osp.isfile(self.path):
            with open(self.path, encoding='utf-8') as file:
                there = json.load(file)
            different = [key for key, value in machine.items()
                         if there.get(key) != value]
            if different:
                raise ValueError(
                    f'{self.path} is of another suite or machine '
                    f'({", ".join(different)} differ); give another --out.')
            self.content = there

    def setting(self, size, batch):
        """Return the results of a size and a batch size."""
        for setting in self.content['settings']:
            if setting['size'] == size and setting['batch'] == batch:
                return setting
        self.content['settings'].append(dict(size=size, batch=batch, rows={}))
        return self.content['settings'][-1]

    def save(self):
        """Write both files."""
        for setting in self.content['settings']:
            _add_ratios(setting['rows'])
        first = self.content['settings'][-1]['rows']
        self.content['ratios'] = {
            name: first[key]['ratio'] for name, key in RATIOS.items()
            if 'ratio' in first.get(key, ())}
        for path, text in (
                (self.path, json.dumps(self.content, indent=1) + '\n'),
                (self.path[:-4] + 'md', table(self.content))):
            write_whole(path, lambda there, text=text: _write(there, text))


def _write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def _add_ratios(rows):
    """Add how many times faster than diffusers each row is: the median over
    the rounds, and the lowest and highest."""
    for key, row in rows.items():
        for field, peer in (('ratio', REFERENCE),
                            ('ratio_same_precision', ROWS[key].peer)):
            pairs = list(zip(rows.get(peer, {}).get('seconds', ()),
                             row['seconds']))
            if pairs:
                ratios = [theirs / ours for theirs, ours in pairs]
                row[field] = dict(median=median(ratios), low=min(ratios),
                                  high=max(ratios), rounds=len(ratios))


def table(content):
    """Write results as a Markdown table."""
    lines = [f'{content["hardware"]}, torch {content["torch"]}, architecture '
             f'{content["arch"]}. Ratios are to plain diffusers, the median '
             'of the rounds (lowest to highest).']
    for setting in content['settings']:
        lines += [
            '', f'{setting["size"]} x {setting["size"]}, batch '
            f'{setting["batch"]}', '',
            '| variant | precision | how | ratio to fp32 | ratio in the same '
            'precision | ms | images a second | largest difference | stem, '
            'U-Net, head (ms) | peak (GiB) |', '|' + '---|' * 10]
        for key, row in setting['rows'].items():
            for reason in ('left_out', 'failed'):
                if reason in row:
                    lines.append(
                        f'| {row["title"]} | {row["dtype"]} | {row["run"]} | '
                        f'{reason.replace("_", " ")}: {row[reason]} |')
            if not row['seconds']:
                continue
            seconds = median(row['seconds'])
            parts = [f'{value * 1000:.1f}'
                     for value in row.get('parts', {}).values()]
            difference, peak = row.get('difference'), row.get('peak_gib')
            lines.append('| ' + ' | '.join([
                row['title'], row['dtype'], row['run'],
                _spread(row.get('ratio')),
                _spread(row.get('ratio_same_precision')),
                f'{seconds * 1000:.1f}', f'{setting["batch"] / seconds:.2f}',
                '' if difference is None else f'{difference:.1g}',
                ', '.join(parts), '' if peak is None else f'{peak:.2f}'
            ]) + ' |')
    return '\n'.join(lines) + '\n'


def _spread(ratio):
    if ratio is None:
        return ''
    return (f'{ratio["median"]:.2f} ({ratio["low"]:.2f} to '
            f'{ratio["high"]:.2f})')
