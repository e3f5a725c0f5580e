import argparse

import pytest
from mmengine.config import Config
from tool_arguments import add_common_arguments, prepare_config


@pytest.mark.parametrize('flag, in_config, expected', [
    ('from/flag', 'from/config', 'from/flag'),
    (None, 'from/config', 'from/config'),
    (None, None, './work_dirs/my_config'),
])
def test_work_dir_priority(flag, in_config, expected):
    parser = argparse.ArgumentParser()
    add_common_arguments(parser)
    args = parser.parse_args(
        (['--work-dir', flag] if flag else [])
        + ['--cfg-options', 'a.b=3', 'c=[1,2]'])
    args.config = 'some/my_config.py'
    cfg = Config(dict(a=dict(b=1), c=None, work_dir=in_config))
    prepare_config(cfg, args)
    assert cfg.work_dir == expected
    assert (cfg.a.b, cfg.c, cfg.launcher) == (3, [1, 2], 'none')
