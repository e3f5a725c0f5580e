"""Prompts of `SDUNet` are tested with it."""
import numpy as np
import pytest
import torch
from conftest import assert_near
from safetensors.torch import save_file
from weights import write_text_encoder

from genpercept_mm.models.utils.prompt_embedding import (
    embed_prompt,
    read_prompt_embeds,
)


def test_text_encoders_with_an_fp16_file_only_are_read(tmp_path):
    encoder = write_text_encoder(tmp_path, variant='fp16')
    assert (tmp_path / 'text_encoder/model.fp16.safetensors').is_file()
    found = embed_prompt(str(tmp_path), 'b a')
    with torch.no_grad():
        expected = encoder(torch.tensor([[2, 1, 0, 3]]))[0]
    torch.testing.assert_close(
        found, expected, atol=1e-6 * expected.abs().max().item(), rtol=0)


def test_a_padded_prompt_has_the_length_of_the_encoder(tmp_path):
    encoder = write_text_encoder(tmp_path)
    found = embed_prompt(str(tmp_path), '', padded=True)
    length = encoder.config.max_position_embeddings
    with torch.no_grad():
        expected = encoder(torch.tensor([[2] + [3] * (length - 1)]))[0]
    assert found.shape[1] == length == 77
    torch.testing.assert_close(found, expected)


def test_text_parts_are_needed(tmp_path):
    write_text_encoder(tmp_path)
    (tmp_path / 'text_encoder').rename(tmp_path / 'other')
    with pytest.raises(FileNotFoundError, match=(
            'Head: pretrained=.* has no text_encoder/.*give prompt_embeds')):
        embed_prompt(str(tmp_path), '', 'Head')


def test_files_that_hold_no_prompt_are_refused(tmp_path):
    for name, content, match in (
            ('a.npy', torch.zeros(3), r'\(L, D\) or \(1, L, D\), got \(3,\)'),
            ('a.pt', torch.zeros(2, 3, 4), r'got \(2, 3, 4\)'),
            ('a.safetensors', torch.zeros(2, 3), "one tensor, got .'a', 'b'")):
        path = str(tmp_path / name)
        if name.endswith('npy'):
            np.save(path, content.numpy())
        elif name.endswith('pt'):
            torch.save(content, path)
        else:
            save_file(dict(a=content, b=content.clone()), path)
        with pytest.raises(ValueError, match=match):
            read_prompt_embeds(path)
    with pytest.raises(ValueError, match="file, got '.*b.txt'"):
        (tmp_path / 'b.txt').touch()
        read_prompt_embeds(str(tmp_path / 'b.txt'))
    with pytest.raises(FileNotFoundError, match="b.npy' does not exist"):
        read_prompt_embeds(str(tmp_path / 'b.npy'))


def test_weights_in_half_precision_compute_in_fp32(tmp_path):
    encoder = write_text_encoder(tmp_path).half()
    encoder.save_pretrained(tmp_path / 'text_encoder')
    found = embed_prompt(str(tmp_path), 'b a')
    with torch.no_grad():
        expected = encoder.float()(torch.tensor([[2, 1, 0, 3]]))[0]
    assert_near(found, expected)
