import json
import os
import shutil
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from weights import (
    UNET_FILE,
    build_parts,
    with_old_names,
    write_text_encoder,
)

from genpercept_mm.converters.genpercept_folder import GenPerceptFolder
from genpercept_mm.models import SDUNet, VAEDecodeHead
from genpercept_mm.models.utils.diffusers_folder import (
    find_weights,
    local_folder,
    read_json,
    read_part,
)

SHARDED = dict(max_shard_size='300KB')
FORMS = {
    'safetensors': {},
    'bin': dict(safe_serialization=False),
    'fp16': dict(variant='fp16'),
    'fp16 bin': dict(variant='fp16', safe_serialization=False),
    'sharded': SHARDED,
    'sharded bin': dict(SHARDED, safe_serialization=False),
    'sharded fp16': dict(SHARDED, variant='fp16'),
    'old names': {},
}


@pytest.fixture(scope='module', params=FORMS)
def prior(request, tmp_path_factory):
    """A folder in one of the forms, and what diffusers reads from it."""
    root, options = tmp_path_factory.mktemp('prior'), FORMS[request.param]
    unet, vae, prompt = build_parts('mini')
    np.save(root / 'prompt.npy', prompt[0].numpy())
    variant = options.get('variant')
    expected = {}
    for part, model in (('unet', unet), ('vae', vae)):
        (model.half() if variant else model).save_pretrained(
            root / part, **options)
        if request.param == 'old names' and part == 'vae':
            save_file(with_old_names(vae.state_dict()),
                      root / part / UNET_FILE, metadata=dict(format='pt'))
        expected[part] = type(model).from_pretrained(
            root, subfolder=part, variant=variant,
            use_safetensors=options.get('safe_serialization', True),
            torch_dtype=torch.float32).state_dict()
    files = [name for name in os.listdir(root / 'vae')
             if name != 'config.json']
    assert (len(files) > 2) == ('sharded' in request.param)
    return str(root), expected


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert torch.equal(ours[key], value), key


def test_all_forms_are_read_as_by_diffusers(prior):
    """The reader, ``pretrained`` and a converter all take it."""
    root, expected = prior
    for part, state in expected.items():
        same({key: value.float() for key, value
              in read_part(f'{root}/{part}').items()}, state)

    backbone = SDUNet(arch='mini', pretrained=root, out_indices=(4, ),
                      prompt_embeds=f'{root}/prompt.npy')
    head = VAEDecodeHead(dict(type='MatteCodec'), 'mini', pretrained=root)
    backbone.init_weights()
    head.init_weights()
    same(backbone.unet.state_dict(), expected['unet'])
    same({**backbone.vae.state_dict(), **head.vae.state_dict()},
         expected['vae'])

    folder = GenPerceptFolder(root, task='dis')
    converted = folder.convert(backbone.prompt_embeds)
    same(converted.state_dict,
         {f'{name}.{key}': value
          for name, module in (('backbone', backbone), ('decode_head', head))
          for key, value in module.state_dict().items()})


def test_weights_are_found_by_preference(tmp_path):
    folder = str(tmp_path)
    assert find_weights(str(tmp_path / 'nowhere')) is None
    assert find_weights(folder) is None
    for value, name in enumerate((
            'pytorch_model.bin', 'diffusion_pytorch_model.fp16.safetensors',
            'diffusion_pytorch_model.bin', UNET_FILE)):
        state = dict(a=torch.full((2, ), float(value)))
        path = str(tmp_path / name)
        if name.endswith('.bin'):
            torch.save(state, path)
        else:
            save_file(state, path)
        assert find_weights(folder) == path
        assert torch.equal(read_part(folder)['a'], state['a'])
    # as diffusers does
    index = tmp_path / 'diffusion_pytorch_model.safetensors.index.json'
    index.touch()
    assert find_weights(folder) == str(index)
    assert find_weights(folder, ['pytorch_model']) == str(
        tmp_path / 'pytorch_model.bin')
    assert find_weights(folder, ['model']) is None


@pytest.mark.parametrize('zipped', [True, False])
def test_bin_files_of_old_torch_are_read(tmp_path, zipped):
    state = dict(a=torch.arange(3.))
    torch.save(state, tmp_path / 'pytorch_model.bin',
               _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_part(str(tmp_path))['a'], state['a'])


class Code:
    """Runs a function when it is unpickled."""

    def __reduce__(self):
        return print, ()


def test_what_cannot_be_read_is_refused(tmp_path):
    folder = str(tmp_path)

    def refused(error, match):
        with pytest.raises(error, match=match):
            read_part(folder)

    refused(FileNotFoundError, 'has no weights; expected one of')
    weights = tmp_path / 'pytorch_model.bin'
    torch.save([1], weights)
    refused(ValueError, 'model.bin must hold a dict of tensors, got list')
    torch.save(dict(a=torch.zeros(1), b=[2]), weights)
    refused(ValueError, "model.bin must hold a dict of tensors, got {'a': "
            "'Tensor', 'b': 'list'}")
    torch.save(dict(a=Code()), weights)
    refused(OSError, 'holds more than tensors')
    weights.write_bytes(b'')
    refused(OSError, r'model.bin is empty \(0 bytes\)')
    weights.unlink()
    weights = tmp_path / UNET_FILE
    save_file(dict(a=torch.zeros(100)), weights)
    weights.write_bytes(weights.read_bytes()[:-1])
    refused(OSError, f'{UNET_FILE} cannot be read .*; it is truncated')


def tensors():
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(3, 4, generator=generator)
            for name in ('conv_in.weight', 'mid.bias')}


WRAPPED = {
    'plain': lambda state: state,
    'state_dict': lambda state: dict(state_dict=state, epoch=3),
    'model': lambda state: dict(model=state, optimizer=dict(lr=[.1])),
    'parallel': lambda state: {
        f'module.{key}': value for key, value in state.items()},
    'lightning': lambda state: dict(state_dict={
        f'module.{key}': value for key, value in state.items()}),
    'average': lambda state: dict(params_ema=state, args=None),
    'numbers beside': lambda state: dict(state, step=7, lr=.1, note='x',
                                         done=True, rest=None),
}


@pytest.mark.parametrize('name', [
    'pytorch_model.bin', UNET_FILE, 'diffusion_pytorch_model.bin',
    'diffusion_pytorch_model.bf16.safetensors', 'unet.ckpt', 'model.pth'])
@pytest.mark.parametrize('form', [*WRAPPED, 'old torch', 'safetensors'])
def test_contents_count_and_not_names(tmp_path, name, form):
    state, path = tensors(), tmp_path / name
    if form == 'safetensors':
        save_file(state, path)
    else:
        torch.save(WRAPPED.get(form, dict)(state), path,
                   _use_new_zipfile_serialization=form != 'old torch')
    (tmp_path / 'config.json').write_text('{}')
    same(read_part(str(tmp_path)), state)


def test_an_index_of_another_precision_is_read(tmp_path):
    """As diffusers names it with ``variant``, which it must be told."""
    _, vae, _ = build_parts('mini')
    vae.to(torch.bfloat16).save_pretrained(
        tmp_path, variant='bf16', **SHARDED)
    assert len(os.listdir(tmp_path)) > 3
    same(read_part(str(tmp_path)), vae.state_dict())


def test_one_of_several_unforeseen_files_is_not_chosen(tmp_path):
    for name in ('a.safetensors', 'b.safetensors'):
        save_file(tensors(), tmp_path / name)
    with pytest.raises(ValueError, match=(
            r"has several weights, \['a.safetensors', 'b.safetensors'\]")):
        read_part(str(tmp_path))
    # a name of diffusers says which
    save_file(dict(c=torch.ones(1)), tmp_path / UNET_FILE)
    same(read_part(str(tmp_path)), dict(c=torch.ones(1)))


@pytest.mark.parametrize('length', [0x80, 0x8b1f, 0x5a42])
def test_a_header_may_begin_as_another_format(tmp_path, length):
    """Its length does: as a pickle, a gzip or bzip2 archive."""
    header = json.dumps(dict(a=dict(
        dtype='F32', shape=[2], data_offsets=[0, 8]))).ljust(length)
    (tmp_path / UNET_FILE).write_bytes(
        struct.pack('<Q', length) + header.encode()
        + struct.pack('<2f', 1, 2))
    same(read_part(str(tmp_path)), dict(a=torch.tensor([1., 2])))


def gzipped():
    import gzip
    return gzip.compress(b'x' * 2000, mtime=0)


@pytest.mark.parametrize('content, match', [
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n',
     'is a pointer of Git LFS, not the weights; run git lfs pull'),
    (b'<!DOCTYPE html><html><body>404</body></html>', 'is an HTML page that '
     "begins with '<!DOCTYPE html>"),
    (b'\xef\xbb\xbf<html>', 'is an HTML page'),
    (b'{"error": "Unauthorized"}', 'is a text file that begins with'),
    (b'Access denied\n', "is a text file that begins with 'Access denied'"),
    (b'', r'is empty \(0 bytes\)'), (bytes(300), r'is empty \(300 bytes'),
    (gzipped(), 'is a gzip archive, .*unpack it'),
    (b'BZh9' + bytes(90), 'is a bzip2 archive'),
    (b'\x89HDF\r\n\x1a\n' + bytes(90), 'is an HDF5 file'),
    (b'GGUF' + bytes(90), 'is a GGUF file'),
    (b'\x93NUMPY\x01\0' + bytes(90), 'is a NumPy array'),
    (b'\xff\xfe\xfd' * 90, 'cannot be read')])
@pytest.mark.parametrize('name', ['pytorch_model.bin', UNET_FILE])
def test_what_is_not_weights_is_named_for_what_it_is(
        tmp_path, content, match, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(OSError, match=f'{name} {match}'):
        read_part(str(tmp_path))


@pytest.mark.parametrize('form', ['zip', 'old torch', 'safetensors'])
def test_truncated_files_are_refused_at_any_length(tmp_path, form):
    name = UNET_FILE if form == 'safetensors' else 'pytorch_model.bin'
    path = tmp_path / name
    if form == 'safetensors':
        save_file(tensors(), path)
    else:
        torch.save(tensors(), path,
                   _use_new_zipfile_serialization=form == 'zip')
    whole = path.read_bytes()
    for length in range(0, len(whole), max(len(whole) // 40, 1)):
        path.write_bytes(whole[:length])
        with pytest.raises(OSError, match=name):
            read_part(str(tmp_path))


def test_a_whole_stable_diffusion_in_one_file_is_named(tmp_path):
    state = {'model.diffusion_model.input_blocks.0.0.weight': torch.ones(1),
             'first_stage_model.encoder.conv_in.weight': torch.ones(1)}
    torch.save(dict(state_dict=state), tmp_path / 'v1-5-pruned.ckpt')
    with pytest.raises(ValueError, match=(
            'v1-5-pruned.ckpt has the original layout of Stable Diffusion.*'
            'from_single_file')):
        read_part(str(tmp_path))


def test_shards_that_do_not_fit_their_index_are_refused(tmp_path):
    _, vae, _ = build_parts('mini')
    vae.save_pretrained(tmp_path, **SHARDED)
    folder = str(tmp_path)
    name = sorted(path for path in os.listdir(folder)
                  if path.endswith('.safetensors'))[1]
    state = load_file(tmp_path / name)
    lost = sorted(state)[0]
    kept = {key: value for key, value in state.items() if key != lost}
    save_file(kept, tmp_path / name)
    with pytest.raises(ValueError, match=f'{name} lacks {lost}, which .*ind'):
        read_part(folder)
    os.remove(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=f'{name} does not exist, but '
                       '.*index.json lists it'):
        read_part(folder)
    index = tmp_path / (UNET_FILE + '.index.json')
    for content, match in (
            ('{', 'index.json is not JSON'),
            ('{}', 'it has no weight_map'),
            ('{"weight_map": {"a": "../b"}}', "files beside it, got '../b'")):
        index.write_text(content)
        with pytest.raises(ValueError, match=match):
            read_part(folder)


def test_json(tmp_path):
    (tmp_path / 'config.json').write_text('{"a": [1, null]}')
    assert read_json(str(tmp_path), 'config.json') == dict(a=[1, None])
    assert read_json(str(tmp_path), 'unet', 'config.json') is None


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Fill huggingface_hub's cache, and allow no network."""
    from huggingface_hub import constants
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    repo = tmp_path / 'hub/models--owner--name'
    commit = '0123456789' * 4
    (repo / 'refs').mkdir(parents=True)
    (repo / 'refs/main').write_text(commit)
    snapshot = repo / 'snapshots' / commit
    snapshot.mkdir(parents=True)
    return snapshot


@pytest.mark.parametrize('form', ['safetensors', 'fp16', 'sharded', 'bin'])
def test_a_hub_id_becomes_a_folder(hub, form):
    unet, vae, _ = build_parts('mini')
    options = FORMS[form]
    for part, model in (('unet', unet), ('vae', vae)):
        if 'variant' in options:
            model.half()
        model.save_pretrained(hub / part, **options)
    text = {key: value for key, value in options.items()
            if key != 'safe_serialization'}
    write_text_encoder(hub, **text)
    backbone = SDUNet(arch='mini', pretrained='owner/name')
    backbone.init_weights()
    assert torch.equal(backbone.unet.conv_in.weight,
                       unet.conv_in.weight.float())
    assert backbone.prompt_embeds.shape == (1, 2, 32)
    head = VAEDecodeHead(dict(type='MatteCodec'), 'mini',
                         pretrained='owner/name')
    head.init_weights()
    assert torch.equal(head.vae.decoder.conv_in.weight,
                       vae.decoder.conv_in.weight.float())
    # a part that was never downloaded
    shutil.rmtree(hub / 'unet')
    head.init_weights()
    with pytest.raises(OSError, match=(
            "SDUNet: cannot download unet, vae, .* of pretrained='owner/name'"
            ': .*local cache')):
        backbone.init_weights()


def test_only_one_of_several_formats_is_downloaded(hub, monkeypatch):
    """The preferred one of those that the repository has."""
    import huggingface_hub
    from huggingface_hub.utils import LocalEntryNotFoundError
    _, vae, _ = build_parts('mini')
    vae.save_pretrained(hub / 'vae')
    os.rename(hub / 'vae' / UNET_FILE, hub / UNET_FILE)
    remote = {'vae/diffusion_pytorch_model.fp16.safetensors',
              'vae/diffusion_pytorch_model.bin', f'vae/{UNET_FILE}'}
    asked = []

    def download(repo, name, revision):
        assert (repo, revision) == ('owner/name', hub.name)
        asked.append(name)
        if name not in remote:
            raise LocalEntryNotFoundError(name)

    monkeypatch.setattr(huggingface_hub, 'hf_hub_download', download)
    assert local_folder('owner/name', ['vae']) == str(hub)
    assert asked == [f'vae/{UNET_FILE}']
    remote -= {f'vae/{UNET_FILE}', 'vae/diffusion_pytorch_model.bin'}
    local_folder('owner/name', ['vae'])
    assert asked[-1] == 'vae/diffusion_pytorch_model.fp16.safetensors'
    # an index that came with the configs
    asked.clear()
    index = hub / 'vae' / (UNET_FILE + '.index.json')
    shards = dict(a='1', b='2', c='1')
    index.write_text(json.dumps(dict(weight_map=shards)))
    remote |= {'vae/1', 'vae/2'}
    local_folder('owner/name', ['vae'])
    assert asked == ['vae/1', 'vae/2']


def test_an_unknown_hub_id_is_named(hub):
    with pytest.raises(OSError, match=(
            "Head: cannot download vae of pretrained='owner/other': ")):
        local_folder('owner/other', ['vae'], 'Head')


@pytest.mark.parametrize('source', ['nowhere', './a/b', '~/b', 'a/b/c'])
def test_paths_are_not_taken_for_hub_ids(source):
    with pytest.raises(FileNotFoundError, match=(
            f"Head: pretrained='{source}' is neither a folder here nor a "
            'hub id .*expected a diffusers folder')):
        local_folder(source, ['vae'], 'Head')


def test_a_folder_needs_the_configs_of_its_parts(tmp_path):
    (tmp_path / 'vae').mkdir()
    (tmp_path / 'vae/config.json').write_text('{}')
    folder = str(tmp_path)
    assert local_folder(folder, ['vae', 'tokenizer']) == folder
    with pytest.raises(FileNotFoundError, match=(
            r"has no unet/config.json, only \['vae'\]; expected a diffuse")):
        local_folder(folder, ['unet', 'vae'])


def test_a_head_has_a_file_name_of_its_own(hub, monkeypatch):
    """As dpt_head_identity/model.safetensors of the release."""
    import huggingface_hub
    from huggingface_hub.utils import LocalEntryNotFoundError

    def download(repo, name, revision):
        if name != 'dpt_head_identity/model.safetensors':
            raise LocalEntryNotFoundError(name)
        asked.append(name)

    asked = []
    monkeypatch.setattr(huggingface_hub, 'hf_hub_download', download)
    local_folder('owner/name', ['dpt_head_identity'])
    assert asked == ['dpt_head_identity/model.safetensors']
