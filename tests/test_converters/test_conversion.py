import numpy as np
import pytest
import torch
from mmengine.config import Config
from weights import build_parts

from genpercept_mm.converters.conversion import (
    Conversion,
    find_arch,
    find_config,
    read_checkpoint,
    write_checkpoint,
)
from genpercept_mm.converters.genpercept import to_mm


def test_a_saved_conversion_describes_itself(tmp_path):
    path = tmp_path / 'out.pth'
    conversion = Conversion(
        dict(a=torch.ones(3), b=torch.zeros(1000)), 'mini', 'depth',
        dict(type='DenseEstimator', decode_head=dict(codec=dict(
            type='AffineDepthCodec', space='disparity'))), ['unet: here'])
    words, config = conversion.save(path).split('\n\n')
    assert words.splitlines() == [
        'unet: here', f'{path}: 2 tensors, 1,003 values']
    cfg = Config.fromstring(config, '.py')
    assert cfg.model.type == 'DenseEstimator' and cfg.load_from == str(path)
    checkpoint = read_checkpoint(path)
    assert torch.equal(checkpoint['state_dict']['a'], torch.ones(3))
    assert checkpoint['meta']['arch'] == 'mini'
    assert checkpoint['meta']['task'] == 'depth'
    assert checkpoint['meta']['quantity'] == 'disparity'
    assert checkpoint['meta']['codec'] == dict(
        type='AffineDepthCodec', space='disparity')


def test_arrays_in_meta_load_as_weights_only(tmp_path):
    """mmpose's data sets bring such; torch alone must read the file."""
    given = dict(
        sigmas=np.float32([.5, .25]), count=np.int64(17), flip=(0, 2, 1),
        names={np.int64(0): 'nose', np.int64(1): 'eye'},
        colors=[np.uint8([1, 2, 3]), [np.float64(.5)]])
    path = tmp_path / 'x.pth'
    write_checkpoint(dict(
        state_dict=dict(a=torch.ones(3)), meta=dict(
            iter=3, dataset_meta=given), rest=torch.zeros(2)), path)
    # the given one is as it was
    assert isinstance(given['sigmas'], np.ndarray)
    loaded = torch.load(path, weights_only=True)
    assert loaded['meta'] == dict(iter=3, dataset_meta=dict(
        sigmas=[.5, .25], count=17, flip=[0, 2, 1],
        names={0: 'nose', 1: 'eye'}, colors=[[1, 2, 3], [.5]]))
    assert torch.equal(loaded['rest'], torch.zeros(2))


@pytest.mark.parametrize('content', [torch.zeros(1), dict(a=torch.zeros(1))])
def test_other_files_are_refused(tmp_path, content):
    torch.save(content, tmp_path / 'in.pth')
    with pytest.raises(ValueError, match='in.pth has no state_dict'):
        read_checkpoint(tmp_path / 'in.pth')


def test_who_tells_the_architecture(tmp_path):
    """A config file, then the meta, then a stored config, then shapes."""
    (tmp_path / 'config.py').write_text(
        "model = dict(backbone=dict(arch='sd15'))")
    unet, vae, prompt = build_parts('mini')
    state, _ = to_mm(unet.state_dict(), vae.state_dict(), prompt, 'mini')
    stored = "model = dict(backbone=dict(type='SDUNet'))"
    checkpoint = dict(state_dict=state, meta=dict(arch='odd', cfg=stored))
    path = tmp_path / 'config.py'
    assert find_arch(checkpoint, path) == 'sd15'
    assert find_config(checkpoint, path).model.backbone.arch == 'sd15'
    assert find_arch(checkpoint) == 'odd'
    del checkpoint['meta']['arch']
    # what SDUNet takes where the config is silent
    assert find_arch(checkpoint) == 'sd21'
    del checkpoint['meta']['cfg']
    assert find_config(checkpoint) is None
    assert find_arch(checkpoint) == 'mini'
