"""Make a plain, whole checkpoint of one with LoRA matrices or of a small one.

LoRA matrices are added to their base weights, as base + B A. What
TrainedWeightsHook had left out is read from pretrained of the config. The
optimizer is dropped. Prints what to change in the config.
"""
from converter_script import check_suffix, make_parser, run

from genpercept_mm.converters.conversion import (
    find_config,
    read_checkpoint,
    write_checkpoint,
)
from genpercept_mm.converters.lora import merge_checkpoint


def parse_args():
    parser = make_parser(__doc__)
    parser.add_argument('checkpoint', help='.pth or .safetensors file')
    parser.add_argument('out', help='new .pth file')
    parser.add_argument(
        '--config',
        help='config of the model; default: the one in the checkpoint')
    return parser.parse_args()


def convert(args):
    check_suffix('OUT', args.out, '.pth')
    checkpoint = read_checkpoint(args.checkpoint)
    merged, notes = merge_checkpoint(
        checkpoint, find_config(checkpoint, args.config))
    print('\n'.join([write_checkpoint(merged, args.out), *notes]))


def main():
    run('merge_lora', convert, parse_args())


if __name__ == '__main__':
    main()
