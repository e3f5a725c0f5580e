"""A small model of each kind, with random weights."""
import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

MINI = {
    'depth': 'vae_mini-hypersim-depth', 'normal': 'vae_mini-hypersim-normal',
    'classes-by-colour': 'vae_mini-hypersim-seg',
    'matting': 'vae_mini-p3m10k-matting',
    'readout': 'readout_mini-hypersim-depth',
    'readout-classes': 'readout_mini-hypersim',
    'dpt': 'dpt_mini-hypersim-disparity',
    'upernet': 'upernet_mini-hypersim', 'pose': 'heatmap_mini-people'}
CHANGES = {
    'small-stem': ('readout', {'model.backbone.stem': 'taesd_mini'}),
    'marigold': ('depth', {
        'model.type': 'genpercept_mm.LatentDiffusionEstimator',
        'model.protocol': 'marigold', 'model.backbone.in_channels': 8,
        'model.test_cfg': dict(num_steps=2)})}


def build(kind):
    """Build the model of a config in MINI, or of one in CHANGES."""
    name, changes = CHANGES.get(kind, (kind, {}))
    if name == 'pose':
        pytest.importorskip('mmpose')
    cfg = Config.fromfile(f'{ROOT}/configs/mini/genpercept_{MINI[name]}.py')
    cfg.merge_from_dict({**changes, 'model.backbone.pretrained': None})
    for head in ('decode_head', 'head'):
        if 'pretrained' in cfg.model.get(head, ()):
            cfg.merge_from_dict({f'model.{head}.pretrained': None})
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(cfg.model).eval()
