"""Make a plain, whole checkpoint of one with LoRA matrices or of a small one.

LoRA matrices are added to their base weights, as base + B A. What
TrainedWeightsHook had left out is read from pretrained of the config. The
optimizer is dropped. Prints what to change in the config.
"""
import argparse
import pickle
import sys

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from genpercept_mm.compat import weights_only
from genpercept_mm.models.released_weights import lora_ranks, merge_lora
from genpercept_mm.utils.files import write_whole
from genpercept_mm.utils.trained_weights import KEY, complete


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='.pth file')
    parser.add_argument('out', help='new .pth file')
    parser.add_argument(
        '--config',
        help='config of the model; default: the one in the checkpoint')
    return parser.parse_args()


def read_config(args, meta):
    """Read the config of the model; None if there is none."""
    if args.config:
        return Config.fromfile(args.config)
    return Config.fromstring(meta['cfg'], '.py') if 'cfg' in meta else None


def convert(args):
    if not args.out.endswith('.pth'):
        raise ValueError(f'OUT must end in .pth, got {args.out}.')
    with weights_only():
        checkpoint = torch.load(
            args.checkpoint, map_location='cpu', mmap=True)
    if 'state_dict' not in checkpoint:
        raise ValueError(f'{args.checkpoint} has no state_dict; expected an '
                         'OpenMMLab checkpoint.')
    meta = checkpoint.setdefault('meta', {})
    cfg = read_config(args, meta)
    ranks = lora_ranks(checkpoint['state_dict'])
    small = KEY in meta
    if not ranks and not small:
        raise ValueError(f'{args.checkpoint} is plain and whole already.')
    if small:
        if cfg is None:
            raise ValueError(
                f'{args.checkpoint} holds trained weights only and does not '
                'say of which model; give its config with --config.')
        init_default_scope(cfg.get('default_scope', 'mmengine'))
        complete(checkpoint, MODELS.build(cfg.model))
    state = merge_lora(checkpoint['state_dict'])

    meta = {key: value for key, value in meta.items() if key != KEY}
    if cfg is not None:
        if ranks:
            cfg.merge_from_dict({'model.backbone.lora_rank': 0})
        meta['cfg'] = cfg.pretty_text
    state = {key: value.detach().contiguous()
             for key, value in state.items()}
    write_whole(args.out, lambda path: torch.save(
        dict(state_dict=state, meta=meta), path))
    print(f'{args.out}: {len(state)} tensors, '
          f'{sum(value.numel() for value in state.values()):,} values')
    if ranks:
        print(f'LoRA matrices of rank {ranks} are merged; the config of this '
              'file differs by\n\nmodel = dict(backbone=dict(lora_rank=0))')
    if small:
        print('Fixed weights are those of pretrained, now inside')


def main():
    args = parse_args()
    try:
        convert(args)
    except (OSError, ValueError, RuntimeError,
            pickle.UnpicklingError) as error:
        sys.exit(f'merge_lora: nothing written. {error}')


if __name__ == '__main__':
    main()
