"""Convert official GenPercept weights into one checkpoint of this package.

SRC is a folder of the official layouts: a U-Net folder of the released
models (unet_<task>_v2, with vae and dpt_head_identity beside it), the folder
around it, a training run (unet, dpt_head_identity, vae_decoder,
vae_post_quant_conv), or any diffusers folder. What it lacks comes from the
Stable Diffusion folder --base. Prints the model's config.
"""
import argparse
import os
import os.path as osp
import sys

import torch
from mmengine.config import Config

from genpercept_mm.models.released_weights import (
    TASKS,
    detect_arch,
    model_config,
    replace_vae_decoder,
    to_mm,
)
from genpercept_mm.models.utils.diffusers_folder import (
    find_weights,
    read_json,
    read_part,
)
from genpercept_mm.models.utils.sd_weights import (
    embed_prompt,
    read_prompt_embeds,
)
from genpercept_mm.utils.files import write_whole
from genpercept_mm.version import __version__


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', help='folder, see above')
    parser.add_argument('--out', required=True, help='checkpoint (.pth)')
    parser.add_argument(
        '--task',
        choices=[*TASKS, 'disparity-dpt'],
        help='what the model predicts; not needed where the name of the '
        'U-Net folder says it')
    parser.add_argument(
        '--unet', help='U-Net folder, where SRC has several or it is '
        'elsewhere')
    parser.add_argument(
        '--base', help='Stable Diffusion folder (unet, vae, text_encoder, '
        'tokenizer) for what SRC lacks')
    parser.add_argument(
        '--text-encoder',
        metavar='FOLDER',
        help='folder with text_encoder and tokenizer; default: SRC or --base')
    parser.add_argument(
        '--prompt', default='', help='text to embed; default: empty')
    parser.add_argument(
        '--prompt-embeds',
        metavar='FILE',
        help='embedded prompt (.npy, .pt, .safetensors) instead')
    parser.add_argument(
        '--prompt-tokens', type=int, help='keep that many rows of it')
    parser.add_argument(
        '--keep-lora',
        action='store_true',
        help='do not merge LoRA matrices (backbone.lora_rank then)')
    return parser.parse_args()


def task_of(name):
    """unet_disparity_dpt_head_v2 -> disparity-dpt; None if it says none."""
    words = name.split('_')
    if words[0] != 'unet' or len(words) < 2 or words[1] not in TASKS:
        return None
    return words[1] + ('-dpt' if 'dpt' in words else '')


def find_unet(args):
    """Find the U-Net folder; None if only a head was trained."""
    if args.unet:
        inside = osp.join(args.src, args.unet)
        return inside if osp.isdir(inside) else args.unet
    for folder in (osp.join(args.src, 'unet'), args.src):
        # a run's root can hold a model.safetensors of another part
        if 'diffusion_pytorch_model' in (find_weights(folder) or ''):
            return folder
    several = {name: osp.join(args.src, name)
               for name in sorted(os.listdir(args.src))
               if name.startswith('unet_')}
    wanted = [name for name in several
              if args.task in (None, task_of(name))]
    if len(wanted) == 1:
        return several[wanted[0]]
    if several:
        raise ValueError(
            f'{args.src} has the U-Nets {list(several)}; choose one with '
            '--unet NAME' + ('' if args.task else ' or --task') + '.')
    return None


def find_dpt_head(home, unet_folder, task):
    """Find the DPT head that belongs to the U-Net, if one does.

    In the released folder one head lies beside the U-Nets of all tasks.
    """
    name = task_of(osp.basename(osp.abspath(unet_folder)))
    wanted = '-dpt' in f'{task} {name}'
    if name is not None and not wanted:
        return None
    for folder in (home, unet_folder):
        if find_weights(osp.join(folder, 'dpt_head_identity')):
            return osp.join(folder, 'dpt_head_identity')
        if find_weights(osp.join(folder, 'dpt_head')):
            raise ValueError(
                f'{folder}/dpt_head is the first release\'s head: a ReLU '
                'follows its last layer, which DPTDecodeHead has not. Only '
                'dpt_head_identity is supported.')
    if wanted:
        raise FileNotFoundError(
            f'{unet_folder} needs dpt_head_identity/model.safetensors in '
            f'{home}.')
    return None


def find_vae(home, base):
    for folder in filter(None, (home, base)):
        if find_weights(osp.join(folder, 'vae')):
            return osp.join(folder, 'vae')
    raise FileNotFoundError(
        f'{home} has no vae; give a Stable Diffusion folder with --base.')


def find_prompt(args, home):
    """Read or compute the embedded prompt."""
    stored = osp.join(home, 'prompt_embeds.safetensors')
    if args.prompt_embeds:
        embeds = read_prompt_embeds(args.prompt_embeds, 'genpercept2mm')
    elif not args.text_encoder and not args.prompt and osp.isfile(stored):
        embeds = read_prompt_embeds(stored, 'genpercept2mm')
    else:
        folders = ([args.text_encoder] if args.text_encoder
                   else [folder for folder in (home, args.base) if folder
                         and osp.isdir(osp.join(folder, 'text_encoder'))])
        if not folders:
            raise FileNotFoundError(
                'The U-Net needs the embedded prompt: give --text-encoder, '
                'the Stable Diffusion folder with text_encoder and '
                'tokenizer, or --prompt-embeds, a file with the embedding.')
        embeds = embed_prompt(folders[0], args.prompt, 'genpercept2mm')
    if args.prompt_tokens is None:
        return embeds
    if not 0 < args.prompt_tokens <= embeds.shape[1]:
        raise ValueError(f'--prompt-tokens must be 1 to {embeds.shape[1]}, '
                         f'got {args.prompt_tokens}.')
    return embeds[:, :args.prompt_tokens]


def refuse_marigold(*folders):
    for folder in folders:
        index = read_json(folder, 'model_index.json') or {}
        name = index.get('_class_name', '')
        if name.startswith('Marigold'):
            raise ValueError(
                f'{folder} holds a {name}: Marigold starts from noise and '
                'takes image and noise latents (8 channels). Convert it with '
                'tools/model_converters/marigold2mm.py.')


def convert(args):
    if not osp.isdir(args.src):
        raise FileNotFoundError(
            f'{args.src} is no folder; download the weights first.')
    if not args.out.endswith('.pth'):
        raise ValueError(f'--out must end in .pth, got {args.out}.')
    found = find_unet(args)
    # Parts beside the U-Net, officially in the folder around it
    home = args.src if found is None else osp.dirname(osp.abspath(found))
    if args.unet and not osp.samefile(home, args.src):
        home = args.src
    refuse_marigold(args.src, home)
    unet_folder = found or osp.join(args.base or home, 'unet')
    task = args.task or task_of(osp.basename(osp.abspath(unet_folder)))
    if task is None:
        raise ValueError('The folder does not say what the model predicts; '
                         f'give --task, one of {[*TASKS, "disparity-dpt"]}.')
    head_folder = find_dpt_head(home, unet_folder, task)
    vae_folder = find_vae(home, args.base)
    if found is None and not args.base:
        raise FileNotFoundError(
            f'{args.src} has no U-Net in unet/, unet_*/ or itself; if it was '
            'not trained, give its Stable Diffusion folder with --base.')

    unet, vae = read_part(unet_folder), read_part(vae_folder)
    used = dict(unet=unet_folder, vae=vae_folder)
    decoder_folders = [osp.join(home, f'vae_{part}')
                       for part in ('decoder', 'post_quant_conv')]
    if head_folder:
        used['dpt_head'] = head_folder
    elif any(map(find_weights, decoder_folders)):
        vae = replace_vae_decoder(vae, *map(read_part, decoder_folders))
        used.update(zip(('decoder', 'post_quant_conv'), decoder_folders))
    arch = detect_arch(
        unet, vae,
        read_json(unet_folder, 'config.json')
        or (args.base and read_json(args.base, 'unet', 'config.json')),
        read_json(vae_folder, 'config.json'))
    state, notes = to_mm(
        unet,
        vae,
        find_prompt(args, home),
        arch,
        dpt_head=read_part(head_folder) if head_folder else None,
        keep_lora=args.keep_lora)
    task = task.removesuffix('-dpt')
    model = model_config(state, arch, task)
    meta = dict(genpercept_mm_version=__version__, arch=arch, task=task)
    write_whole(args.out, lambda path: torch.save(
        dict(state_dict=state, meta=meta), path))

    for part, folder in used.items():
        print(f'{part}: {folder}')
    for note in notes:
        print(note)
    print(f'{args.out}: {len(state)} tensors, '
          f'{sum(value.numel() for value in state.values()):,} values\n')
    print(Config(dict(model=model, load_from=args.out)).pretty_text)


def main():
    args = parse_args()
    try:
        convert(args)
    except (OSError, ValueError) as error:
        sys.exit(f'genpercept2mm: nothing written. {error}')


if __name__ == '__main__':
    main()
