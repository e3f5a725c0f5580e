"""Folders of the official GenPercept code.

Three layouts occur: the released models (``unet_<task>_v2`` of every task and
``unet_<task>_v1`` of two side by side, with ``vae`` and
``dpt_head_identity``), a training run (``unet``, ``dpt_head_identity``,
``vae_decoder``, ``vae_post_quant_conv``) and any diffusers folder.
"""
import os
import os.path as osp
import shutil
import tempfile

import mmengine
import torch

from genpercept_mm.models.utils.arch_detection import detect_arch
from genpercept_mm.models.utils.diffusers_folder import (
    STEMS,
    TEXT_PARTS,
    find_weights,
    local_folder,
    read_json,
    read_part,
)
from genpercept_mm.models.utils.prompt_embedding import (
    embed_prompt,
    read_prompt_embeds,
)
from genpercept_mm.models.utils.sd_archs import resolve_arch

from .conversion import Conversion
from .genpercept import TASKS, replace_vae_decoder, to_mm
from .layout import model_config

# What a folder may say that it predicts
FOLDER_TASKS = (*TASKS, 'disparity-dpt')


def task_of(name):
    """Read the task off the name of a U-Net folder; None if it says none.

    ``'unet_disparity_dpt_head_v2'``, for example, stands for
    ``'disparity-dpt'``.
    """
    words = name.split('_')
    if words[0] != 'unet' or len(words) < 2 or words[1] not in TASKS:
        return None
    return words[1] + ('-dpt' if 'dpt' in words else '')


class GenPerceptFolder:
    """The parts of a model, found in a folder of the official layouts.

    Args:
        src (str): A U-Net folder, the folder around it, a training run or a
            diffusers folder.
        task (str, optional): One of ``FOLDER_TASKS``, where the name of the
            U-Net folder does not say it.
        unet (str, optional): U-Net folder, where ``src`` has several or it is
            elsewhere.
        base (str, optional): Stable Diffusion folder for what ``src`` lacks.

    Attributes:
        task (str): A key of ``TASKS``.
        parts (dict[str, str]): Folders of ``unet`` and ``vae``, and of
            ``dpt_head``, or ``decoder`` and ``post_quant_conv``, if found.

    Raises:
        FileNotFoundError: If a part is missing.
        ValueError: If the folder is ambiguous, or holds a Marigold model.
    """

    def __init__(self, src, task=None, unet=None, base=None):
        if not osp.isdir(src):
            raise FileNotFoundError(
                f'{src} is not a folder; download the weights first.')
        if task not in (None, *FOLDER_TASKS):
            raise ValueError(
                f'task must be one of {FOLDER_TASKS}, got {task!r}.')
        self.base = base
        found = _find_unet(src, task, unet)
        # other parts are beside the U-Net, officially in the folder around
        self.home = src
        if found is not None:
            around = osp.dirname(osp.abspath(found))
            if not unet or osp.samefile(around, src):
                self.home = around
        for folder in (src, self.home):
            index = read_json(folder, 'model_index.json') or {}
            name = index.get('_class_name', '')
            if name.startswith('Marigold'):
                raise ValueError(
                    f'{folder} holds a {name}, which starts from noise and '
                    'takes the latents of image and noise (8 channels). '
                    'Convert it with tools/model_converters/marigold2mm.py.')
        unet_folder = found or osp.join(base or self.home, 'unet')
        named = task_of(osp.basename(osp.abspath(unet_folder)))
        if None not in (task, named) and (
                TASKS[task.removesuffix('-dpt')]
                != TASKS[named.removesuffix('-dpt')]):
            raise ValueError(
                f'{unet_folder} predicts {named} by its name, not {task}; '
                'leave out the task (--task), or rename the folder.')
        task = task or named
        if task is None:
            raise ValueError(
                f'{self.home} does not say what the model predicts; give '
                f'--task, one of {FOLDER_TASKS}.')
        wanted = '-dpt' in f'{task} {named}'
        head = (self._find_dpt_head(unet_folder, wanted)
                if wanted or named is None else None)
        vae = self._first_with('vae', find_weights)
        if vae is None:
            raise FileNotFoundError(
                f'{self.home} has no vae; give a Stable Diffusion folder with '
                '--base.')
        self.parts = dict(unet=unet_folder, vae=osp.join(vae, 'vae'))
        if found is None and not base:
            raise FileNotFoundError(
                f'{src} has no U-Net in unet/, unet_*/ or itself; if it was '
                'not trained, give its Stable Diffusion folder with --base.')
        decoder = {part: osp.join(self.home, f'vae_{part}')
                   for part in ('decoder', 'post_quant_conv')}
        if head:
            self.parts['dpt_head'] = head
        elif any(map(find_weights, decoder.values())):
            self.parts.update(decoder)
        self.task = task.removesuffix('-dpt')

    def _first_with(self, part, test):
        """Find which of home and base has a part; None if neither has it."""
        return next((folder for folder in (self.home, self.base)
                     if folder and test(osp.join(folder, part))), None)

    def _find_dpt_head(self, unet_folder, wanted):
        """Find the DPT head that belongs to the U-Net, if one does."""
        for folder in (self.home, unet_folder):
            if find_weights(osp.join(folder, 'dpt_head_identity')):
                return osp.join(folder, 'dpt_head_identity')
            if find_weights(osp.join(folder, 'dpt_head')):
                raise ValueError(
                    f"{folder}/dpt_head is the first release's head, whose "
                    'last layer is followed by a ReLU, which DPTDecodeHead '
                    'does not have. Only dpt_head_identity is supported.')
        if wanted:
            raise FileNotFoundError(
                f'{unet_folder} needs dpt_head_identity/model.safetensors in '
                f'{self.home}.')
        return None

    def read_prompt(self, prompt='', text_encoder=None, embeds=None,
                    tokens=None):
        """Read or compute the embedded prompt, which the first release
        (``unet_<task>_v1``) pads to 77 tokens.

        Args:
            prompt (str): Text to embed. Defaults to ''.
            text_encoder (str, optional): Folder or hub id with
                ``text_encoder`` and ``tokenizer``. None takes those beside the
                U-Net or in ``base``.
            embeds (str, optional): File with an embedded prompt instead.
            tokens (int, optional): Number of its rows to keep; None keeps all.

        Returns:
            Tensor: (1, L, D) fp32.

        Raises:
            FileNotFoundError: If there is neither text encoder nor file.
            ValueError: If there are fewer rows than ``tokens``.
        """
        stored = osp.join(self.home, 'prompt_embeds.safetensors')
        if not (embeds or text_encoder or prompt) and osp.isfile(stored):
            embeds = stored
        if embeds is not None:
            result = read_prompt_embeds(embeds, 'genpercept2mm')
        else:
            text_encoder = text_encoder or self._first_with(
                'text_encoder', osp.isdir)
            if text_encoder is None:
                raise FileNotFoundError(
                    f'{self.home} has no text_encoder, and the U-Net needs '
                    'the embedded prompt: copy text_encoder/ and tokenizer/ '
                    'from Stable Diffusion 2.1 into the folder, or convert it '
                    'with tools/model_converters/genpercept2mm.py, which '
                    'takes --text-encoder (a Stable Diffusion folder) or '
                    '--prompt-embeds (a file).')
            folder = local_folder(text_encoder, TEXT_PARTS, 'genpercept2mm')
            first_release = osp.basename(self.parts['unet']).endswith('_v1')
            result = embed_prompt(folder, prompt, 'genpercept2mm',
                                  padded=first_release)
        if tokens is None:
            return result
        if not 0 < tokens <= result.shape[1]:
            raise ValueError(f'--prompt-tokens must be 1 to '
                             f'{result.shape[1]}, got {tokens}.')
        return result[:, :tokens]

    def convert(self, prompt_embeds, keep_lora=False):
        """Read the parts and make a `Conversion` of them.

        Raises an OSError if a file cannot be read, and a ValueError if the
        weights do not fit together, see `to_mm` for this and ``keep_lora``.
        """
        weights = {part: read_part(folder)
                   for part, folder in self.parts.items()}
        unet, vae = weights['unet'], weights['vae']
        if 'decoder' in weights:
            vae = replace_vae_decoder(
                vae, weights['decoder'], weights['post_quant_conv'])
        unet_config = read_json(self.parts['unet'], 'config.json')
        if unet_config is None and self.base:
            unet_config = read_json(self.base, 'unet', 'config.json')
        arch = detect_arch(unet, vae, unet_config,
                           read_json(self.parts['vae'], 'config.json'))
        state, notes = to_mm(unet, vae, prompt_embeds, arch,
                             weights.get('dpt_head'), keep_lora)
        used = [f'{part}: {folder}' for part, folder in self.parts.items()]
        return Conversion(
            state, arch, self.task,
            model_config(state, arch, TASKS[self.task]), used + notes)


def write_folder(out_dir, parts, arch):
    """Write the parts from `from_mm` as a folder, whole or not at all.

    diffusers and the official code read it. It must be new or empty.
    """
    check_empty(out_dir)
    parent = osp.dirname(osp.abspath(out_dir))
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as temporary:
        folder = osp.join(temporary, 'whole')
        _write_parts(folder, parts, arch)
        if osp.isdir(out_dir):
            os.rmdir(out_dir)
        shutil.move(folder, out_dir)


def check_empty(out_dir):
    """Raise a ValueError unless a folder to write is empty or missing."""
    if osp.exists(out_dir) and (
            not osp.isdir(out_dir) or os.listdir(out_dir)):
        raise ValueError(f'{out_dir} exists and is not empty; choose '
                         'another folder.')


def _write_parts(folder, parts, arch):
    import diffusers
    index = dict(
        _class_name='GenPerceptPipeline',
        _diffusers_version=diffusers.__version__,
        scheduler=['diffusers', 'DDIMScheduler'])
    for part, name, config in zip(
            ('unet', 'vae'), ('UNet2DConditionModel', 'AutoencoderKL'),
            resolve_arch(arch, 'mm2genpercept')):
        with torch.device('meta'):
            model = getattr(diffusers, name)(**config)
        model.save_config(osp.join(folder, part))
        _save(parts[part], folder, part,
              'diffusion_pytorch_model.safetensors')
        index[part] = ['diffusers', name]
    if parts['dpt_head'] is not None:
        _save(parts['dpt_head'], folder, 'dpt_head_identity',
              'model.safetensors')
    _save(dict(prompt_embeds=parts['prompt_embeds']), folder,
          'prompt_embeds.safetensors')
    # the official hf_configs/scheduler_beta_1.0_1.0
    diffusers.DDIMScheduler(
        beta_start=1.0, beta_end=1.0, beta_schedule='scaled_linear',
        clip_sample=False, set_alpha_to_one=False, steps_offset=1,
        prediction_type='v_prediction').save_config(
            osp.join(folder, 'scheduler'))
    mmengine.dump(index, osp.join(folder, 'model_index.json'), indent=2)


def _save(state, *path):
    from safetensors.torch import save_file
    path = osp.join(*path)
    os.makedirs(osp.dirname(path), exist_ok=True)
    # no copies of tensors that fit
    save_file({key: value.detach().contiguous()
               for key, value in state.items()}, path,
              metadata=dict(format='pt'))


def _find_unet(src, task, unet):
    """Find the U-Net folder; None if only a head was trained."""
    if unet:
        inside = osp.join(src, unet)
        return inside if osp.isdir(inside) else unet
    for folder in (osp.join(src, 'unet'), src):
        # a run's root can hold a model.safetensors of another part
        if find_weights(folder, STEMS[:1]):
            return folder
    several = {name: osp.join(src, name) for name in sorted(os.listdir(src))
               if name.startswith('unet_')}
    wanted = [name for name in several if task in (None, task_of(name))]
    if len(wanted) == 1:
        return several[wanted[0]]
    if several:
        raise ValueError(
            f'{src} has the U-Nets {list(several)}; choose one with '
            '--unet NAME' + ('' if task else ' or --task') + '.')
    return None
