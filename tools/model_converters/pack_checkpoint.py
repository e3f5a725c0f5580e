"""Make a small checkpoint: rounded differences to the small prior.

For checkpoints of trainings that started from pretrained='mini'; OUT is a .npz
file, a sixth of the .pth file's weights, which DenseInferencer and `genpercept
infer` take. What only a training needs is left out. The loss of accuracy is
that of tools/test.py with weights from --unpacked, a .pth file of the rounded
weights.
"""
import os.path as osp

from converter_script import check_suffix, make_parser, run
from publishing import strip_checkpoint

from genpercept_mm.converters.conversion import (
    find_config,
    read_checkpoint,
    write_checkpoint,
)
from genpercept_mm.converters.packed_checkpoint import load_packed, save_packed


def parse_args():
    parser = make_parser(__doc__)
    parser.add_argument('src', help='checkpoint (.pth) that holds its config')
    parser.add_argument('out', help='.npz file')
    parser.add_argument(
        '--levels', type=float, default=6., help='steps in the root mean '
        'square of the differences of a tensor; default: 6')
    parser.add_argument(
        '--unpacked', metavar='PTH', help='also write the rounded weights '
        'as a plain checkpoint')
    return parser.parse_args()


def convert(args):
    check_suffix('OUT', args.out, '.npz')
    checkpoint, _ = strip_checkpoint(read_checkpoint(args.src))
    cfg = find_config(checkpoint, source=args.src)
    if cfg is None:
        raise ValueError(f'{args.src} does not hold its config.')
    # an auxiliary head is for trainings only
    if cfg.model.get('auxiliary_head') is not None:
        cfg.model.auxiliary_head = None
        checkpoint['meta']['cfg'] = cfg.pretty_text
        checkpoint['state_dict'] = {
            key: value for key, value in checkpoint['state_dict'].items()
            if not key.startswith('auxiliary_head.')}
    save_packed(checkpoint, args.out, levels=args.levels)
    print(f'{args.out}: {len(checkpoint["state_dict"])} tensors, '
          f'{osp.getsize(args.out) / 2**20:.2f} MiB')
    if args.unpacked:
        print(write_checkpoint(load_packed(args.out), args.unpacked))


def main():
    run('pack_checkpoint', convert, parse_args())


if __name__ == '__main__':
    main()
