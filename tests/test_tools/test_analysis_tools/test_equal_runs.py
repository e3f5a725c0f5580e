"""Trainings do not depend on how their steps are divided."""
import json
import os
import os.path as osp
import subprocess
import sys
from glob import glob

import h5py
import numpy as np
import processes
import pytest
from conftest import ROOT, write_hypersim
from demo.tasks import TASKS
from equality.cases import CASES, RESUMED

TOOL = 'tools/analysis_tools/equal_runs.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """With the data that mini configs read: four frames to train with, of
    whose depth 3 % to 88 % is invalid."""
    folder = tmp_path_factory.mktemp('equal_runs')
    root = folder / 'data' / 'mini_hypersim'
    root.mkdir(parents=True)
    # attention in the middle of the network needs more than one position
    write_hypersim(str(root), size=(64, 96), frames=4)
    for index, path in enumerate(sorted(glob(osp.join(
            root, '*', 'images', '*_geometry_*', '*.semantic.hdf5')))):
        depth = np.linspace(1, 4, 96) + np.linspace(0, 2, 64)[:, None]**2
        depth[:2 + index % 4 * 18] = np.nan
        with h5py.File(path.replace('semantic', 'depth_meters'), 'w') as file:
            file['dataset'] = depth.astype(np.float32)
    return folder


def rows(folder, *options):
    processes.start()
    python = processes.write_executable(str(folder / 'python'))
    done = subprocess.run(
        [python, osp.join(ROOT, TOOL), '--out', 'out', *options], cwd=folder,
        env=processes.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with open(folder / 'out' / 'equal_runs.json') as file:
        return {(row['case'], row['split']): row
                for row in json.load(file)['rows']}


def check(rows, tolerance=1e-12):
    for (_, split), row in rows.items():
        assert row['losses'] < tolerance, row
        assert row['gradients'] < tolerance, row
        assert row['weights'] < tolerance, row
        assert row['largest_relative_difference'] == max(
            row[key] for key in ('losses', 'gradients', 'weights'))
        if split.startswith('1 x 8'):  # the same computation
            assert row['largest_relative_difference'] == 0, row


def test_two_processes_and_accumulation(folder):
    found = rows(folder, '--cases', 'random-timesteps', '--steps', '2',
                 '--max-processes', '2')
    assert [split for _, split in found] == ['2 x 4', '1 x 2 accumulated']
    check(found)
    assert os.path.getsize(folder / 'out' / 'curves.png') > 5000


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """With the data of all demos, twelve frames of each."""
    pytest.importorskip('mitsuba')
    folder = tmp_path_factory.mktemp('world')
    for task in ('seg', 'dis', 'matting', 'pose'):
        script, *options = TASKS[task].data
        subprocess.run(
            [sys.executable, osp.join(ROOT, script), *options, '--num-frames',
             '12'], cwd=folder, check=True, env=dict(
                 os.environ, PYTHONPATH=ROOT))
    return folder


@pytest.mark.nightly
@pytest.mark.parametrize('case', CASES)
def test_all_divisions_and_resumed_runs(world, case):
    if case == 'pose':
        pytest.importorskip('mmpose')
    found = rows(world, '--cases', case, '--steps', '4')
    assert len(found) == (6 if case in RESUMED else 3)
    # mmseg divides the sum over a micro batch by its pixels plus 1e-7, and
    # the loss of the DPT head solves for scale and shift
    check(found, 1e-9 if case in ('upernet', 'disparity-dpt') else 1e-11)


@pytest.mark.nightly
def test_single_precision(folder):
    found = rows(folder, '--cases', 'depth', '--steps', '3',
                 '--max-processes', '2', '--dtype', 'float32')
    check(found, 1e-4)
