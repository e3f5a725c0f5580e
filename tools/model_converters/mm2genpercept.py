"""Convert a checkpoint of this package into the official folder layout.

Writes unet, vae, scheduler (all betas 1), model_index.json, the embedded
prompt, and dpt_head_identity where the model has that head. diffusers loads
unet and vae; genpercept2mm.py turns the folder back into the same tensors.
The official run.py takes the folder as --unet, and the text encoder (and the
VAE, unless its decoder was trained) from Stable Diffusion.
"""
import os
import os.path as osp

from converter_script import make_parser, run

from genpercept_mm.converters.conversion import (
    find_arch,
    find_config,
    read_checkpoint,
)
from genpercept_mm.converters.genpercept import from_mm
from genpercept_mm.converters.genpercept_folder import (
    check_empty,
    write_folder,
)
from genpercept_mm.converters.layout import VAE_DECODER, split_off
from genpercept_mm.converters.lora import lora_ranks
from genpercept_mm.models.utils.diffusers_folder import read_part
from genpercept_mm.utils.trained_weights import KEY


def parse_args():
    parser = make_parser(__doc__)
    parser.add_argument('checkpoint', help='.pth or .safetensors file')
    parser.add_argument('out_dir', help='new folder')
    parser.add_argument(
        '--config',
        help='config of the model; default: what the checkpoint says')
    parser.add_argument(
        '--base',
        help='Stable Diffusion folder; with a DPT head, brings the VAE '
        "decoder, which the checkpoint does not have (diffusers' "
        'AutoencoderKL needs one)')
    parser.add_argument(
        '--timestep',
        type=int,
        help="the model's timestep, if it is not 1: the folder cannot say it, "
        'so those who use it must')
    parser.add_argument(
        '--keep-lora',
        action='store_true',
        help="do not merge LoRA matrices: peft's names, for the official "
        '--lora_rank')
    return parser.parse_args()


def convert(args):
    check_empty(args.out_dir)
    checkpoint = read_checkpoint(args.checkpoint)
    if KEY in checkpoint['meta']:
        raise ValueError(
            f'{args.checkpoint} holds trained weights only; complete it with '
            'tools/model_converters/merge_lora.py first.')
    state, arch = checkpoint['state_dict'], find_arch(checkpoint, args.config)
    cfg = find_config(checkpoint, args.config, args.checkpoint)
    model = {} if cfg is None else cfg.model
    _check_layout(model, args.timestep)
    base_vae = None
    if args.base:
        base_vae = {key: value.float() for key, value
                    in read_part(osp.join(args.base, 'vae')).items()}
    parts = from_mm(state, arch, base_vae, args.keep_lora)
    if model.get('backbone', {}).get('prediction_type') == 'sample':
        # the layout's U-Nets give the negative latent
        for name, value in parts['unet'].items():
            if name.startswith('conv_out.'):
                parts['unet'][name] = -value
    if not split_off(parts['vae'], VAE_DECODER)[0]:
        raise ValueError(
            f'{args.checkpoint} has a DPT head and no VAE decoder; give the '
            'Stable Diffusion folder that brings one with --base.')
    write_folder(args.out_dir, parts, arch)
    print(f'{args.out_dir}: {sorted(os.listdir(args.out_dir))}')
    if model.get('decode_head', {}).get('clip_channels'):
        print('The model clips the decoded channels before their mean; those '
              'who read the folder clip the mean')
    if lora_ranks(state) and not args.keep_lora:
        print('LoRA matrices are merged into the weights')


def _check_layout(model, timestep):
    """Raise a ValueError if a model computes what the layout cannot say."""
    own = model.get('backbone', {}).get('timestep', 1)
    if own != (1 if timestep is None else timestep):
        raise ValueError(
            f'The model runs at timestep {own}, which the folder cannot say: '
            'official code and diffusers would take 1. To write it anyway, '
            f'give --timestep {own}, and tell those who use it.')
    codec = model.get('decode_head', {}).get('codec', {})
    if codec.get('axes', 'genpercept') != 'genpercept':
        raise ValueError(
            f'The model predicts normals with axes={codec["axes"]!r}; the '
            "folder stands for GenPercept's (x right, y up, z towards the "
            'viewer).')


def main():
    run('mm2genpercept', convert, parse_args())


if __name__ == '__main__':
    main()
