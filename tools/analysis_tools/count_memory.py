"""Count what a prediction needs of a GPU's memory, as usual and with
low_memory, for Stable Diffusion 2.1 size; needs no GPU.

Counted are weights and the tensors between operations, batch 1, folded. CUDA
itself takes about 0.5 GiB more, and convolutions need workspace.
"""
import argparse

import torch
from benchmarking.clock import DTYPES
from benchmarking.memory_counter import CountedStrips, MemoryCounter
from benchmarking.variants import CONFIGS, Variants

import genpercept_mm  # noqa: F401, compat acts before the hosts' models
from genpercept_mm.apis.low_memory import SHARE, large_autoencoders
from genpercept_mm.models.utils.vae_strips import run_in_strips

GIB, CARDS = 2**30, (4, 6, 8, 12)
KINDS = dict(vae={}, dpt={}, readout={}, **{
    'small stem, readout': dict(head='readout', small_stem=True)})


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', choices=CONFIGS, default='sd21')
    parser.add_argument('--edges', type=int, nargs='+', default=[768, 2048])
    parser.add_argument('--dtypes', nargs='+', choices=DTYPES,
                        default=['bf16', 'fp32'])
    return parser.parse_args()


def size(module):
    """Bytes of a module's weights."""
    return sum(tensor.nbytes for tensor in (
        *module.parameters(), *module.buffers()))


@torch.no_grad()
def count(model, edge, low_memory=False, **strips):
    """Count the bytes that a prediction needs at its peak.

    Args:
        model (OneStep): On the meta device; with ``low_memory``, its VAE works
            in strips from then on.
        edge (int): Height and width of the image.
        low_memory (bool): Whether parts take turns, and the VAE works in
            strips.
        **strips: Arguments of `Strips`.

    Returns:
        int: Weights and tensors.
    """
    backbone, head = model.model.backbone, model.model.decode_head
    parts = [backbone.vae, backbone.unet, head]
    all_weights, peak = size(model), 0
    rest = all_weights - sum(map(size, parts))
    data = torch.empty(1, 3, edge, edge, device='meta')
    for part, step in zip(
            parts, (model.encode, model.run_unet, model.decode)):
        given = sum(t.nbytes for t in (
            data if isinstance(data, tuple) else (data, )))
        counter = MemoryCounter()
        if low_memory:
            for vae in large_autoencoders(model.model):
                run_in_strips(vae, CountedStrips(counter, **strips))
        with counter:
            data = step(data)
        weights = rest + size(part) if low_memory else all_weights
        peak = max(peak, weights + given + counter.peak)
    return peak


def main():
    args = parse_args()
    variants = Variants(args.arch, 'meta')
    print('| head | precision | edge | as usual | '
          + ' | '.join(f'low memory, {card} GB' for card in CARDS) + ' |')
    print('|' + '---|' * (4 + len(CARDS)))
    for name, options in KINDS.items():
        options = dict(dict(head=name), **options)
        for dtype in args.dtypes:
            for edge in args.edges:
                cells = [count(variants.ours(dtype=dtype, **options), edge)]
                cells += [count(
                    variants.ours(dtype=dtype, **options), edge,
                    low_memory=True, largest=int(card * GIB * SHARE))
                    for card in CARDS]
                print(f'| {name} | {dtype} | {edge} | ' + ' | '.join(
                    f'{cell / GIB:.1f}' for cell in cells) + ' |', flush=True)


if __name__ == '__main__':
    main()
