"""Convert official GenPercept weights into one checkpoint of this package.

SRC is a folder of the official layouts: a U-Net folder of the released
models (unet_<task>_v2, with vae and dpt_head_identity beside it), the folder
around it, a training run (unet, dpt_head_identity, vae_decoder,
vae_post_quant_conv), or any diffusers folder. What it lacks comes from the
Stable Diffusion folder --base. Prints the model's config.
"""
from converter_script import check_suffix, make_parser, run

from genpercept_mm.converters.genpercept_folder import (
    FOLDER_TASKS,
    GenPerceptFolder,
)


def parse_args():
    parser = make_parser(__doc__)
    parser.add_argument('src', help='folder, see above')
    parser.add_argument('--out', required=True, help='checkpoint (.pth)')
    parser.add_argument(
        '--task',
        choices=FOLDER_TASKS,
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
        '--prompt-tokens', type=int, help='number of its rows to keep')
    parser.add_argument(
        '--timestep',
        type=int,
        default=1,
        help='at which the U-Net runs; default: 1, as in the releases')
    parser.add_argument(
        '--keep-lora',
        action='store_true',
        help='do not merge LoRA matrices (backbone.lora_rank then)')
    return parser.parse_args()


def convert(args):
    check_suffix('--out', args.out, '.pth')
    folder = GenPerceptFolder(args.src, args.task, args.unet, args.base)
    prompt_embeds = folder.read_prompt(
        args.prompt, args.text_encoder, args.prompt_embeds,
        args.prompt_tokens)
    conversion = folder.convert(prompt_embeds, args.keep_lora)
    if args.timestep != 1:
        conversion.model['backbone']['timestep'] = args.timestep
    print(conversion.save(args.out))


def main():
    run('genpercept2mm', convert, parse_args())


if __name__ == '__main__':
    main()
