"""Published weights by name."""
import fnmatch
import hashlib
import json
import os
import os.path as osp

from mmengine.infer import BaseInferencer
from mmengine.logging import print_log

from genpercept_mm.converters.conversion import CONVERSION
from genpercept_mm.converters.recognition import convert_any
from genpercept_mm.models.utils.diffusers_folder import (
    TEXT_PARTS,
    find_weights,
    local_folder,
)
from genpercept_mm.utils.files import write_bytes, write_whole
from genpercept_mm.utils.safetensors_checkpoint import (
    load_from_safetensors,
    save_safetensors,
)

PARTS = ('unet', 'vae', *TEXT_PARTS)
PACKAGE = osp.dirname(osp.dirname(osp.abspath(__file__)))
CHECKSUMS = 'checksums.json'


def read_entries():
    """Read the entries of published models from the metafiles, a dict by
    name; those of configs without weights are left out."""
    folder = BaseInferencer._get_repo_or_mim_dir('genpercept_mm')
    return {entry['Name']: entry for entry
            in BaseInferencer._get_models_from_metafile(folder)
            if {'Hub', 'Bundled'} & set(entry.get('Metadata') or ())}


def list_models(pattern='*', task=None):
    """List the names of published models.

    Args:
        pattern (str): With ``*`` and ``?``. Defaults to '*'.
        task (str, optional): Only those of a task, for example ``'depth'``.

    Returns:
        list[str]: Names that `get_model` and `DenseInferencer` take.
    """
    return [name for name, entry in read_entries().items()
            if fnmatch.fnmatch(name, pattern)
            and task in (None, entry['Metadata']['Task'])]


def find_entry(name):
    """Return the entry of a name, or raise a ValueError that lists the
    nearest ones."""
    entries = read_entries()
    if name in entries:
        return entries[name]
    import difflib
    near = difflib.get_close_matches(name, entries, 3, .4)
    raise ValueError(
        f'{name!r} is not a published model'
        + (f'; did you mean {" or ".join(near)}?' if near else '.')
        + ' `genpercept models` lists all.')


def get_weights(name):
    """Return the path of a published model's converted checkpoint, after
    downloading and converting it if necessary; see `get_model`."""
    entry = find_entry(name)
    metadata = entry['Metadata']
    if 'Bundled' in metadata:
        print_log(f'{name}: {metadata["Note"]}', logger='current')
        return _bundled(metadata)
    home = _home()
    path = osp.join(home, f'{name}.safetensors')
    if osp.isfile(path) and (
            load_from_safetensors(path)['meta'].get('conversion')
            == CONVERSION):
        return path
    print_log(
        f'{name}: weights of {entry["In Collection"]} from '
        f'{entry["Weights"]}. Licence: {metadata["License"]}.',
        logger='current')
    folder, base = _download(name, metadata)
    _check_files(name, [*_weight_files(folder, metadata),
                        *(_weight_files(base, {}) if base else ())], home)
    conversion = _convert(folder, base, metadata)
    checkpoint = conversion.checkpoint()
    checkpoint['meta']['released'] = dict(name=name, **metadata)
    write_whole(path, lambda part: save_safetensors(checkpoint, part))
    print_log(f'{name}: converted to {path}', logger='current')
    return path


def weight_checksums(name):
    """Return the SHA-256 of the files that a model was made of, as they were
    downloaded, or of the file in this package; a dict by file."""
    metadata = find_entry(name)['Metadata']
    if 'Bundled' in metadata:
        return {metadata['Bundled']: _sha256(_bundled(metadata))}
    known = {label: digest for label, digest in _known_sums(_home()).items()
             if label.startswith(f'{name}/')}
    if known:
        return known
    path = osp.join(_home(), f'{name}.safetensors')
    return {osp.basename(path): _sha256(path)}


def _home():
    from huggingface_hub.constants import HF_HUB_CACHE
    return osp.join(HF_HUB_CACHE, 'genpercept_mm')


def _bundled(metadata):
    return osp.join(PACKAGE, metadata['Bundled'])


def download_command(name):
    """Return the command that downloads a model on a machine with network;
    raises a ValueError for one that this package brings."""
    metadata = find_entry(name)['Metadata']
    if 'Bundled' in metadata:
        raise ValueError(f'{name} comes with the package.')
    parts = _parts(metadata)
    commands = [_command(metadata['Hub'], parts)]
    if metadata.get('Base'):
        commands.append(_command(metadata['Base'], TEXT_PARTS))
    return ' && '.join(commands)


def _command(repo, parts):
    patterns = (*(f'{part}/*' for part in (*parts, 'scheduler')),
                'model_index.json')
    # the flag takes one value, and can be repeated
    return ' '.join([f'hf download {repo}', *(
        f'--include "{pattern}"' for pattern in patterns)])


def _parts(metadata):
    if metadata['Family'] != 'genpercept':
        return PARTS
    unet = metadata['U-Net']
    head = ('dpt_head_identity', ) if '_dpt' in unet else ()
    return (unet, 'vae', *head)


def _download(name, metadata):
    try:
        folder = local_folder(metadata['Hub'], _parts(metadata), name)
        base = metadata.get('Base')
        return folder, base and local_folder(base, TEXT_PARTS, name)
    except OSError as error:
        raise OSError(
            f'{error} Without network here, run this on another machine and '
            f'copy the cache: {download_command(name)}'
        ) from error


def _convert(folder, base, metadata):
    if metadata['Family'] != 'genpercept':
        return convert_any(folder, metadata['Family'], metadata['Task'],
                           metadata.get('Steps'))
    from genpercept_mm.converters.genpercept_folder import GenPerceptFolder
    source = GenPerceptFolder(
        folder, unet=osp.join(folder, metadata['U-Net']))
    return source.convert(source.read_prompt(text_encoder=base))


def _weight_files(folder, metadata):
    """List the weight files of a folder."""
    parts = _parts(metadata) if metadata else TEXT_PARTS
    found = (find_weights(osp.join(folder, part)) for part in parts)
    return [path for path in found if path]


def _check_files(name, paths, home):
    """Record the checksums of files at their first download, and compare them
    afterwards. Raises a ValueError if one differs."""
    path = osp.join(home, CHECKSUMS)
    known, sums = _known_sums(home), {}
    for file in paths:
        # below the snapshot of a commit
        parts = file.split(os.sep)
        label = '/'.join([name, *parts[-2:]])
        sums[label] = _sha256(file)
        if known.get(label, sums[label]) != sums[label]:
            raise ValueError(
                f'{name}: {file} is not the file of the first download '
                f'(SHA-256 {sums[label][:12]}..., was '
                f'{known[label][:12]}...). If the authors have replaced it, '
                f'remove the line from {path}.')
    write_bytes(path, (json.dumps({**known, **sums}, indent=1) + '\n'
                       ).encode())


def _known_sums(home):
    path = osp.join(home, CHECKSUMS)
    if not osp.isfile(path):
        return {}
    with open(path) as file:
        return json.load(file)


def _sha256(path):
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
