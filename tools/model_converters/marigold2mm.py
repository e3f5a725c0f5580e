"""Convert a Marigold folder into one checkpoint of this package.

SRC is in diffusers layout: model_index.json of a MarigoldDepthPipeline or
MarigoldNormalsPipeline, unet (8 channels), vae, text_encoder, tokenizer, and
scheduler, whose settings the model takes over. Prints the model's config.
"""
import argparse
import os.path as osp
import sys

import torch
from mmengine.config import Config

from genpercept_mm.models.marigold_weights import (
    find_num_steps,
    find_task,
    marigold_config,
    marigold_to_mm,
)
from genpercept_mm.models.utils.diffusers_folder import read_json, read_part
from genpercept_mm.models.utils.sd_weights import embed_prompt
from genpercept_mm.utils.files import write_bytes, write_whole
from genpercept_mm.version import __version__


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
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


def require_json(*path):
    content = read_json(*path)
    if content is None:
        raise FileNotFoundError(
            f'{osp.join(*path)} does not exist; expected a folder that '
            'diffusers saved or downloaded whole.')
    return content


def convert(args):
    if not osp.isdir(args.src):
        raise FileNotFoundError(
            f'{args.src} is no folder; download the weights first.')
    for name, path, suffix in (('--out', args.out, '.pth'),
                               ('--config', args.config, '.py')):
        if path is not None and not path.endswith(suffix):
            raise ValueError(f'{name} must end in {suffix}, got {path}.')
    index = require_json(args.src, 'model_index.json')
    task = find_task(index, args.task)
    num_steps = find_num_steps(index, args.steps)
    scheduler = require_json(args.src, 'scheduler', 'scheduler_config.json')
    state, arch = marigold_to_mm(
        *(read_part(osp.join(args.src, part)) for part in ('unet', 'vae')),
        embed_prompt(args.src, '', 'marigold2mm'),
        *(read_json(args.src, part, 'config.json')
          for part in ('unet', 'vae')))
    model = marigold_config(state, arch, task, scheduler, num_steps)
    meta = dict(genpercept_mm_version=__version__, arch=arch, task=task)
    write_whole(args.out, lambda path: torch.save(
        dict(state_dict=state, meta=meta), path))
    if args.config is not None:
        write_bytes(args.config,
                    Config(dict(model=model)).pretty_text.encode())

    print(f'{args.src}: {index["_class_name"]} for {task}, {num_steps} steps')
    edge = index.get('default_processing_resolution')
    if edge:
        print(f'its pipeline resizes images to a longer edge of {edge}: '
              f"dict(type='genpercept_mm.DenseResize', long_edge={edge})")
    print(f'{args.out}: {len(state)} tensors, '
          f'{sum(value.numel() for value in state.values()):,} values\n')
    print(Config(dict(model=model, load_from=args.out)).pretty_text)


def main():
    args = parse_args()
    try:
        convert(args)
    except (OSError, ValueError) as error:
        sys.exit(f'marigold2mm: {error}')


if __name__ == '__main__':
    main()
