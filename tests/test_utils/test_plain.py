import pickle

from mmengine.config import ConfigDict

from genpercept_mm.utils.plain import to_plain


def test_nested_configs_become_dicts_and_lists():
    cfg = ConfigDict(a=dict(b=(1, dict(c='x'))), d=None)
    plain = to_plain(cfg)
    assert plain == dict(a=dict(b=[1, dict(c='x')]), d=None)
    assert b'mmengine' not in pickle.dumps(plain)
