import os.path as osp

import pytest
from demo.tasks import TASKS
from mmengine.config import Config


@pytest.mark.parametrize('name', TASKS)
def test_data_is_made_where_the_config_reads_it(name):
    task = TASKS[name]
    cfg = Config.fromfile(f'configs/mini/genpercept_{task.config}.py')
    assert osp.isfile(task.data[0])
    folder = task.data[task.data.index('--out-dir') + 1]
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        assert f'{loader.dataset.data_root}/'.startswith(f'{folder}/')
