"""Convert a folder of weights of any known family into one checkpoint.

SRC is a folder in diffusers layout: a GenPercept release, Marigold, Lotus-D,
Lotus-G or E2E-FT. The checkpoint holds its config, so that

    genpercept infer out.pth photo.jpg --out maps

needs nothing else. Prints the config. genpercept2mm.py and marigold2mm.py
have more options for their families.
"""
from converter_script import check_suffix, make_parser, run

from genpercept_mm.converters.recognition import FAMILIES, convert_any


def parse_args():
    parser = make_parser(__doc__)
    parser.add_argument('src', help='folder, see above')
    parser.add_argument('--out', required=True, help='checkpoint (.pth)')
    parser.add_argument(
        '--family', choices=FAMILIES, help='default: what the folder shows')
    parser.add_argument(
        '--task', help='what the model predicts (depth, disparity, normal '
        '...), where neither the configs nor the name of the folder say it')
    return parser.parse_args()


def convert(args):
    check_suffix('--out', args.out, '.pth')
    print(convert_any(args.src, args.family, args.task).save(args.out))


def main():
    run('weights2mm', convert, parse_args())


if __name__ == '__main__':
    main()
