import pytest
import torch
from weights import build_parts, random_head

from genpercept_mm.converters.layout import (
    LATENT_LAYERS,
    VAE_DECODER,
    check_parts,
    dpt_options,
    find_misfits,
    join_parts,
    model_config,
    split_off,
    split_parts,
)
from genpercept_mm.models.utils.sd_archs import resolve_arch

NORMAL = dict(type='genpercept_mm.NormalCodec')


def parts_of(dpt=False, **unet):
    unet, vae, prompt = build_parts('mini', **unet)
    return dict(unet=unet.state_dict(), vae=vae.state_dict(),
                prompt_embeds=prompt, dpt_head=random_head() if dpt else None)


def test_a_vae_in_two_parts():
    vae = parts_of()['vae']
    decoder, encoder = split_off(vae, VAE_DECODER)
    assert {**decoder, **encoder}.keys() == vae.keys()
    assert {key.split('.')[0] for key in decoder} == {
        'decoder', 'post_quant_conv'}
    assert {key.split('.')[0] for key in encoder} == {'encoder', 'quant_conv'}


def test_a_unet_without_its_output():
    unet = parts_of()['unet']
    last, others = split_off(unet, LATENT_LAYERS)
    assert set(last) == {'conv_norm_out.weight', 'conv_norm_out.bias',
                         'conv_out.weight', 'conv_out.bias'}
    assert {**last, **others}.keys() == unet.keys()


@pytest.mark.parametrize('dpt', [False, True])
def test_splitting_undoes_joining(dpt):
    parts = parts_of(dpt)
    state = join_parts(**parts)
    found, unknown = split_parts({**state, 'neck.weight': torch.zeros(1)})
    assert unknown == ['neck.weight']
    assert torch.equal(found['prompt_embeds'], parts['prompt_embeds'])
    for part in ('unet', 'vae', 'dpt_head'):
        given, expected = found[part] or {}, parts[part] or {}
        assert given.keys() == expected.keys()
        assert all(torch.equal(given[key], value)
                   for key, value in expected.items())
    del state['backbone.prompt_embeds']
    assert split_parts(state)[0]['prompt_embeds'] is None


def test_what_fits_passes():
    check_parts(parts_of(), 'mini')
    check_parts(parts_of(in_channels=8), 'mini', in_channels=8)
    # with a DPT head, the decoder may be there and the last layers may not
    parts = parts_of(dpt=True)
    _, parts['unet'] = split_off(parts['unet'], LATENT_LAYERS)
    check_parts(parts, 'mini')
    _, parts['vae'] = split_off(parts['vae'], VAE_DECODER)
    check_parts(parts, 'mini')
    with pytest.raises(ValueError, match='dpt_head: head.head.0.bias is mis'):
        del parts['dpt_head']['head.head.0.bias']
        check_parts(parts, 'mini')


def test_all_problems_are_named_at_once():
    assert find_misfits('unet', dict(a=torch.zeros(2), b=torch.zeros(1)),
                        dict(a=(2, ), c=(3, ))) == [
        'unet: c is missing', 'unet: b has no place']
    assert find_misfits('vae', dict(a=torch.zeros(2)), dict(a=(2, 1))) == [
        'vae: a is (2,), must be (2, 1)']
    assert find_misfits('unet', dict(a=torch.zeros(2)), dict(a=(2, ))) == []
    parts = parts_of()
    del parts['unet']['conv_out.bias']
    parts['unet']['b'] = torch.zeros(1)
    parts['vae']['quant_conv.bias'] = torch.zeros(3)
    arch = dict(zip(('unet', 'vae'), resolve_arch('mini')))
    for given, name in (('mini', 'mini'), (arch, 'of config.json')):
        with pytest.raises(ValueError) as info:
            check_parts(parts, given)
        assert str(info.value).splitlines() == [
            f'3 tensors do not fit the architecture {name}:',
            '  unet: conv_out.bias is missing', '  unet: b has no place',
            '  vae: quant_conv.bias is (3,), must be (8,)']


def test_what_does_not_fit_is_named():
    parts = parts_of()
    parts['prompt_embeds'] = None
    _, parts['vae'] = split_off(parts['vae'], VAE_DECODER)
    with pytest.raises(ValueError) as info:
        check_parts(parts, 'mini', unknown=['neck.weight'])
    for words in ('vae: decoder.conv_in.weight is missing',
                  'neck.weight has no place', 'prompt_embeds is missing'):
        assert words in str(info.value)


def test_a_dpt_head_has_one_output():
    head = random_head()
    assert dpt_options(head, [32, 64, 96, 96]) == dict(
        in_channels=(32, 64, 96, 96), channels=24, head_channels=6)
    state = join_parts(**parts_of(dpt=True))
    state = {key: value for key, value in state.items()
             if not key.startswith('decode_head.vae.')}
    with pytest.raises(ValueError, match='NormalCodec needs 3'):
        model_config(state, 'mini', NORMAL)
    head['head.head.4.weight'] = torch.zeros(3, 6, 1, 1)
    with pytest.raises(ValueError, match='has 3 outputs'):
        dpt_options(head, [32, 64, 96, 96])


def test_values_that_are_not_finite_do_not_fit():
    given = dict(a=torch.tensor([1., float('nan')]), b=torch.ones(2))
    assert find_misfits('unet', given, dict(a=(2, ), b=(2, ))) == [
        'unet: a has values that are NaN or infinite']
