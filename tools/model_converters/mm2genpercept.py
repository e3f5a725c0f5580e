"""Convert a checkpoint of this package into the official folder layout.

Writes unet, vae, scheduler (all betas 1), model_index.json, the embedded
prompt, and dpt_head_identity where the model has that head. diffusers loads
unet and vae; genpercept2mm.py turns the folder back into the same tensors.
The official run.py takes the folder as --unet, and the text encoder (and the
VAE, unless its decoder was trained) from Stable Diffusion.
"""
import argparse
import json
import os
import os.path as osp
import pickle
import shutil
import sys
import tempfile

import torch
from mmengine.config import Config
from safetensors.torch import load_file, save_file

from genpercept_mm.compat import weights_only
from genpercept_mm.models.released_weights import detect_arch, from_mm
from genpercept_mm.models.utils.sd_archs import resolve_arch

# Of the official hf_configs/scheduler_beta_1.0_1.0
SCHEDULER = dict(
    _class_name='DDIMScheduler',
    num_train_timesteps=1000,
    beta_start=1.0,
    beta_end=1.0,
    beta_schedule='scaled_linear',
    trained_betas=None,
    clip_sample=False,
    set_alpha_to_one=False,
    steps_offset=1,
    prediction_type='v_prediction',
    thresholding=False,
    timestep_spacing='leading',
    rescale_betas_zero_snr=False)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='.pth file')
    parser.add_argument('out_dir', help='new folder')
    parser.add_argument(
        '--config',
        help='config of the model; default: what the checkpoint says')
    parser.add_argument(
        '--base',
        help='Stable Diffusion folder; with a DPT head, brings the VAE '
        "decoder, which the checkpoint has not (diffusers' AutoencoderKL "
        'needs one)')
    parser.add_argument(
        '--keep-lora',
        action='store_true',
        help="do not merge LoRA matrices: peft's names, for the official "
        '--lora_rank')
    return parser.parse_args()


def find_arch(args, checkpoint):
    """Read the architecture from --config, the checkpoint or its shapes."""
    meta = checkpoint.get('meta', {})
    if args.config:
        cfg = Config.fromfile(args.config)
    elif 'arch' in meta:
        return meta['arch']
    elif 'cfg' in meta:
        cfg = Config.fromstring(meta['cfg'], '.py')
    else:
        state = checkpoint['state_dict']
        parts = [{key.removeprefix(prefix): value
                  for key, value in state.items() if key.startswith(prefix)}
                 for prefix in ('backbone.unet.', 'backbone.vae.')]
        return detect_arch(*parts)
    arch = cfg.model.backbone.get('arch', 'sd21')
    return arch if isinstance(arch, str) else arch.to_dict()


def plain(state):
    """Tensors as safetensors stores them; no copies of those that fit."""
    return {key: value.detach().contiguous() for key, value in state.items()}


def write_json(content, *path):
    with open(osp.join(*path), 'w') as file:
        json.dump(content, file, indent=2)
        file.write('\n')


def write_folder(folder, parts, arch):
    import diffusers
    unet_config, vae_config = resolve_arch(arch, 'mm2genpercept')
    index = dict(
        _class_name='GenPerceptPipeline',
        _diffusers_version=diffusers.__version__,
        scheduler=['diffusers', 'DDIMScheduler'])
    for part, name, config in (
            ('unet', 'UNet2DConditionModel', unet_config),
            ('vae', 'AutoencoderKL', vae_config)):
        with torch.device('meta'):
            model = getattr(diffusers, name)(**config)
        model.save_config(osp.join(folder, part))
        save_file(
            plain(parts[part]),
            osp.join(folder, part, 'diffusion_pytorch_model.safetensors'),
            metadata=dict(format='pt'))
        index[part] = ['diffusers', name]
    os.makedirs(osp.join(folder, 'scheduler'))
    write_json(SCHEDULER, folder, 'scheduler', 'scheduler_config.json')
    if parts['dpt_head'] is not None:
        os.makedirs(osp.join(folder, 'dpt_head_identity'))
        save_file(
            plain(parts['dpt_head']),
            osp.join(folder, 'dpt_head_identity', 'model.safetensors'),
            metadata=dict(format='pt'))
    save_file(
        plain(dict(prompt_embeds=parts['prompt_embeds'])),
        osp.join(folder, 'prompt_embeds.safetensors'))
    write_json(index, folder, 'model_index.json')


def convert(args):
    if osp.exists(args.out_dir) and (
            not osp.isdir(args.out_dir) or os.listdir(args.out_dir)):
        raise ValueError(f'{args.out_dir} exists and is not empty; choose '
                         'another folder.')
    with weights_only():
        checkpoint = torch.load(
            args.checkpoint, map_location='cpu', mmap=True)
    if 'state_dict' not in checkpoint:
        raise ValueError(f'{args.checkpoint} has no state_dict; expected an '
                         'OpenMMLab checkpoint.')
    arch = find_arch(args, checkpoint)
    base_vae = None
    if args.base:
        base_vae = load_file(
            osp.join(args.base, 'vae', 'diffusion_pytorch_model.safetensors'))
        base_vae = {key: value.float() for key, value in base_vae.items()}
    parts = from_mm(
        checkpoint['state_dict'], arch, base_vae, keep_lora=args.keep_lora)
    if not any(key.startswith('decoder.') for key in parts['vae']):
        raise ValueError(
            f'{args.checkpoint} has a DPT head and no VAE decoder; give the '
            'Stable Diffusion folder that brings one with --base.')

    parent = osp.dirname(osp.abspath(args.out_dir))
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as temporary:
        folder = osp.join(temporary, 'whole')
        os.mkdir(folder)
        write_folder(folder, parts, arch)
        if osp.isdir(args.out_dir):
            os.rmdir(args.out_dir)
        shutil.move(folder, args.out_dir)
    print(f'{args.out_dir}: {sorted(os.listdir(args.out_dir))}')
    if not args.keep_lora and any(
            '.lora_' in key for key in checkpoint['state_dict']):
        print('LoRA matrices are merged into the weights')


def main():
    args = parse_args()
    try:
        convert(args)
    except (OSError, ValueError, pickle.UnpicklingError) as error:
        sys.exit(f'mm2genpercept: nothing written. {error}')


if __name__ == '__main__':
    main()
