import pytest
import torch
from safetensors.torch import save_file

from genpercept_mm.models.utils.diffusers_folder import (
    find_weights,
    read_json,
    read_part,
)


def test_weights_are_found_by_preference(tmp_path):
    assert find_weights(str(tmp_path / 'nowhere')) is None
    assert find_weights(str(tmp_path)) is None
    for value, name in enumerate((
            'pytorch_model.bin', 'diffusion_pytorch_model.fp16.safetensors',
            'diffusion_pytorch_model.safetensors')):
        state = dict(a=torch.full((2, ), float(value)))
        path = str(tmp_path / name)
        if name.endswith('.bin'):
            torch.save(state, path)
        else:
            save_file(state, path)
        assert find_weights(str(tmp_path)) == path
        assert torch.equal(read_part(str(tmp_path))['a'], state['a'])


def test_what_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='has no weights'):
        read_part(str(tmp_path))
    (tmp_path / 'diffusion_pytorch_model.safetensors.index.json').write_text(
        '{}')
    with pytest.raises(ValueError, match='several files'):
        read_part(str(tmp_path))


def test_json(tmp_path):
    (tmp_path / 'config.json').write_text('{"a": [1, null]}')
    assert read_json(str(tmp_path), 'config.json') == dict(a=[1, None])
    assert read_json(str(tmp_path), 'unet', 'config.json') is None
