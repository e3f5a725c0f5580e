"""A training that is killed at any moment resumes, and ends the same."""
import os
import os.path as osp
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import MINI_CONFIG, ROOT, assert_near
from mmengine.config import Config

ITERATIONS = 44
# Stops for good in the middle of the write of the given number, as the
# process is killed there
STUCK = '''
import runpy, sys, torch
sys.argv = sys.argv[1:]
count, stock = int(sys.argv.pop(0)), torch.save

def save(value, path, *args, **kwargs):
    global count
    stock(value, path, *args, **kwargs)
    count -= 1
    if count == 0:
        with open(path, 'rb+') as file:
            file.truncate(file.seek(0, 2) // 2)
        print('WRITING', flush=True)
        sys.stdin.read()

torch.save = save
sys.path.insert(0, 'tools')
runpy.run_path('tools/train.py', run_name='__main__')
'''


@pytest.fixture
def config(tmp_path, hypersim_root):
    """Without augmentation and dropout, whose random numbers a resume draws
    anew."""
    cfg = Config.fromfile(MINI_CONFIG)
    pipeline = [dict(type='genpercept_mm.LoadHypersimImage'),
                dict(type='genpercept_mm.LoadHypersimSemantic'),
                dict(type='PackSegInputs')]
    cfg.train_dataloader.update(
        batch_size=2, num_workers=0, persistent_workers=False,
        batch_sampler=dict(type='genpercept_mm.MixtureSampler'))
    cfg.train_dataloader.dataset.update(
        data_root=hypersim_root, pipeline=pipeline)
    for head in (cfg.model.decode_head, cfg.model.auxiliary_head):
        head.dropout_ratio = 0
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = hypersim_root
    cfg.merge_from_dict(dict(
        train_cfg=dict(max_iters=ITERATIONS, val_interval=1000),
        default_hooks=dict(checkpoint=dict(interval=1, max_keep_ckpts=2,
                                           save_best=None),
                           logger=dict(interval=1),
                           visualization=dict(draw=False))))
    path = tmp_path / 'config.py'
    cfg.dump(path)
    return str(path)


def start(config, work_dir, *before):
    return subprocess.Popen(
        [sys.executable, *(before or ['tools/train.py']), config,
         '--work-dir', work_dir, '--resume'], cwd=ROOT, text=True,
        env=dict(os.environ, PYTHONWARNINGS='ignore', PYTHONPATH=ROOT),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)


def kill_after(process, pattern, count=1):
    """Kill a process once it has printed lines of a pattern."""
    text = ''
    for line in process.stdout:
        text += line
        if re.search(pattern, line):
            count -= 1
            if not count:
                process.send_signal(signal.SIGKILL)
                break
    process.wait()
    process.stdout.close()
    return text, count == 0


def finish(config, work_dir):
    done = start(config, work_dir)
    text = done.communicate()[0]
    assert done.returncode == 0, text[-3000:]
    state = torch.load(osp.join(work_dir, f'iter_{ITERATIONS}.pth'),
                       weights_only=True)
    return state, text


@pytest.mark.nightly
def test_killed_at_20_moments(config, tmp_path):
    whole, _ = finish(config, str(tmp_path / 'whole'))
    work_dir = str(tmp_path / 'killed')
    rng = np.random.default_rng(0)
    reached = 0
    for moment in range(20):
        if moment % 4 == 3:  # inside a write
            process = start(config, work_dir, '-c', STUCK,
                            str(rng.integers(1, 3)), 'tools/train.py')
            text, killed = kill_after(process, 'WRITING')
        else:
            process = start(config, work_dir)
            text, killed = kill_after(process, r'Iter\(train\)',
                                      int(rng.integers(1, 4)))
        assert killed, text[-3000:]
        if reached:
            resumed = re.search(r'resumed epoch: \d+, iter: (\d+)', text)
            assert resumed and int(resumed[1]) >= reached, text[-3000:]
            reached = int(resumed[1])
        elif os.listdir(work_dir).count('last_checkpoint'):
            reached = 1
        for name in os.listdir(work_dir):
            if name.endswith('.pth'):
                torch.load(osp.join(work_dir, name), weights_only=True)
    resumed, _ = finish(config, work_dir)
    assert not [name for name in os.listdir(work_dir)
                if name.endswith('.part')]
    assert resumed['state_dict'].keys() == whole['state_dict'].keys()
    for key, value in whole['state_dict'].items():
        assert_near(resumed['state_dict'][key].float(), value.float())


@pytest.mark.nightly
def test_a_full_disk_at_random_moments(config, tmp_path):
    """Files longer than a limit cannot be written, as on a full disk."""
    limit = '''
import resource, signal, sys, runpy
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = int(sys.argv[1])
sys.argv = sys.argv[2:]
sys.path.insert(0, 'tools')
import torch
stock, count = torch.save, [size]

def save(*args, **kwargs):
    count[0] -= 1
    if count[0] == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
    stock(*args, **kwargs)

torch.save = save
runpy.run_path('tools/train.py', run_name='__main__')
'''
    whole, _ = finish(config, str(tmp_path / 'whole'))
    work_dir = str(tmp_path / 'full')
    for count in (2, 5, 3):
        process = start(config, work_dir, '-c', limit, str(count),
                        'tools/train.py')
        text = process.communicate()[0]
        assert process.returncode
        assert re.search(r'cannot write .*iter_\d+\.pth', text), text[-2000:]
        assert 'continue with --resume' in text
    resumed, _ = finish(config, work_dir)
    for key, value in whole['state_dict'].items():
        assert_near(resumed['state_dict'][key].float(), value.float())
