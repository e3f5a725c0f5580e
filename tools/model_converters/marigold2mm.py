"""Convert a Marigold folder into one checkpoint of this package.

SRC is in diffusers layout: model_index.json of a MarigoldDepthPipeline or
MarigoldNormalsPipeline, unet (8 channels), vae, text_encoder, tokenizer, and
scheduler, whose settings the model takes over. Prints the model's config.
"""
from converter_script import check_suffix, make_parser, run
from mmengine.config import Config

from genpercept_mm.converters.marigold import convert_folder
from genpercept_mm.utils.files import write_bytes


def parse_args():
    parser = make_parser(__doc__)
    parser.add_argument('src', help='folder, see above')
    parser.add_argument('--out', required=True, help='checkpoint (.pth)')
    parser.add_argument(
        '--task',
        choices=['depth', 'disparity', 'normal'],
        help='what the model predicts; not needed where model_index.json '
        'says it')
    parser.add_argument(
        '--steps',
        type=int,
        help='steps of sampling; default: what model_index.json says')
    parser.add_argument(
        '--config',
        metavar='FILE',
        help="write the model's config (.py) too, to be one of the _base_ "
        'files of a config for tools/test.py')
    return parser.parse_args()


def convert(args):
    check_suffix('--out', args.out, '.pth')
    if args.config is not None:
        check_suffix('--config', args.config, '.py')
    conversion = convert_folder(args.src, args.task, args.steps)
    description = conversion.save(args.out)
    if args.config is not None:
        text = Config(dict(model=conversion.model)).pretty_text
        write_bytes(args.config, text.encode())
    print(description)


def main():
    run('marigold2mm', convert, parse_args())


if __name__ == '__main__':
    main()
