"""The trainings that are compared have configs that build."""
import pytest
from equality.cases import CASES
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope


@pytest.mark.parametrize('name', CASES)
def test_configs_with_their_options_build(name):
    if name == 'pose':
        pytest.importorskip('mmpose')
    case = CASES[name]
    cfg = Config.fromfile(case.config)
    cfg.merge_from_dict(case.options)
    cfg.model.backbone.pretrained = None
    if 'decode_head' in cfg.model and 'pretrained' in cfg.model.decode_head:
        cfg.model.decode_head.pretrained = None
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        MODELS.build(cfg.model)
