"""Fixtures: a small Hypersim on disk, and the tools as a user runs them."""
import fcntl
import os
import os.path as osp
import random
import re
import subprocess
import warnings
import zipfile
import zlib
from glob import glob
from types import SimpleNamespace

# One thread each: the processes of a test, and tests side by side, would wait
# for each other's. Before what reads it is imported.
os.environ['OMP_NUM_THREADS'] = '1'

# isort: split
import cv2
import h5py
import numpy as np
import processes
import pytest
import torch
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

import genpercept_mm  # noqa: F401, lets compat act before hosts import

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
SHARED = osp.join(osp.dirname(ROOT), 'shared')
MINI_CONFIG = 'configs/mini/genpercept_upernet_mini-hypersim.py'
# for python -c: the training tool that a host ships
HOST_TOOL = '''
import os, runpy, sys, {host}
sys.argv[0] = os.path.join(os.path.dirname({host}.__file__), '.mim', 'tools',
                           'train.py')
runpy.run_path(sys.argv[0], run_name='__main__')
'''


def mostly(configs, rare='readout_.*(dis5k|p3m10k|-seg|-disparity)'):
    """Parameters of a test, of which those that match a pattern are nightly:
    they differ from others by the codec alone."""
    return [pytest.param(config, marks=[pytest.mark.nightly] if re.search(
        rare, config) else []) for config in configs]


# -- every test by itself -----------------------------------------------------


def pytest_configure(config):
    """Start the server of forked processes while the workers start."""
    workers = getattr(config.option, 'numprocesses', None)
    if workers and not config.option.collectonly:
        processes.start()


def seed(name):
    """Seed the global random states, and differently for every name."""
    number = zlib.crc32(name.encode())
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef, request):
    seed(f'{request.node.nodeid} {fixturedef.argname}')


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    seed(item.nodeid)


def assert_near(actual, expected, rel=1e-5):
    """Compare tensors; float32 sums differ between CPUs by a share of the
    largest value.

    Args:
        actual (torch.Tensor): Any shape.
        expected (torch.Tensor): The same shape.
        rel (float): The largest difference, relative to the largest absolute
            value of ``expected``.
    """
    torch.testing.assert_close(
        actual, expected, rtol=0, atol=rel * expected.abs().max().item())


@pytest.fixture(autouse=True)
def repository_as_cwd(monkeypatch):
    """Configs use paths relative to the repository."""
    monkeypatch.chdir(ROOT)


@pytest.fixture(autouse=True)
def no_collection_of_garbage(monkeypatch):
    """Building a data set of mmengine collects garbage, which takes a third
    of a second once the hosts are imported."""
    monkeypatch.setattr('mmengine.dataset.base_dataset.gc',
                        SimpleNamespace(collect=lambda: 0))


@pytest.fixture(autouse=True)
def no_git(monkeypatch):
    """mmengine starts it for every checkpoint, to write down the commit."""
    monkeypatch.setattr('mmengine.runner.runner.get_git_hash',
                        lambda *args, **kwargs: 'unknown')


@pytest.fixture
def check_agreement(monkeypatch):
    """`check_config`, whose warnings are errors."""
    from genpercept_mm.engine import check_config

    def fail(text, **options):
        raise AssertionError(text)

    monkeypatch.setattr(check_config, 'print_log', fail)
    return check_config.check_config


@pytest.fixture(scope='session')
def samples():
    """Real images beside the checkout; skips where they are absent."""
    folder = osp.join(SHARED, 'samples')
    if not osp.isdir(folder):
        pytest.skip(f'no real samples at {folder}')
    return folder


def make_once(tmp_path_factory, name, make):
    """Make a folder for all workers of a run; it is for reading only.

    Args:
        tmp_path_factory (TempPathFactory): Fixture of pytest.
        name (str): Name of the folder.
        make (Callable[[str], None]): Fills the folder of that path.

    Returns:
        str: Path of the folder.
    """
    base = tmp_path_factory.getbasetemp()
    if 'PYTEST_XDIST_WORKER' in os.environ:
        base = base.parent
    folder, finished = base / name, base / f'{name}.finished'
    with open(base / f'{name}.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            folder.mkdir(exist_ok=True)
            make(str(folder))
            finished.touch()
    return str(folder)


@pytest.fixture(scope='session')
def full_mmcv(tmp_path_factory):
    """Compiled mmcv, unpacked to shadow mmcv-lite; skips without it."""
    wheels = glob(osp.join(SHARED, 'wheels', 'mmcv-*.whl'))
    if not wheels:
        pytest.skip('no compiled mmcv wheel in shared/wheels')

    tags = parse_wheel_filename(osp.basename(wheels[0]))[3]
    if not tags & set(sys_tags()):
        pytest.skip(f'{wheels[0]} is not for this interpreter')

    def unpack(folder):
        with zipfile.ZipFile(wheels[0]) as wheel:
            wheel.extractall(folder)

    return make_once(tmp_path_factory, 'full_mmcv', unpack)


# -- commands -----------------------------------------------------------------


def run_python(*command, fresh=None, hosts=True, python_path=(), check=True,
               timeout=600, **environment):
    """Run python in a process of its own, in the repository.

    Args:
        *command: What stands after ``python``.
        fresh (bool, optional): Start the interpreter. If False, the process
            is forked from one that has done the imports, which is much
            faster: for tests of anything but the start itself. Defaults to
            None, which forks, unless ``python_path``, ``environment`` or
            options of the interpreter may change what is imported.
        hosts (bool): Whether a forked process has imported this package and
            the hosts; if False, only torch, diffusers and other libraries,
            so that it may be forked for tests of how we and the hosts are
            imported, and from where.
        python_path (Sequence[str]): Folders in front of PYTHONPATH.
        check (bool): Fail if the process does.
        timeout (float): In seconds.
        **environment (str): Variables.

    Returns:
        subprocess.CompletedProcess: With text.
    """
    command, python_path = ([str(part) for part in parts]
                            for parts in (command, python_path))
    if fresh is None:
        fresh = bool(hosts and (python_path or environment)) or (
            command[0][0] == '-' and command[0] not in ('-c', '-m'))
    done = None
    try:
        if not fresh:
            processes.start()
            try:
                done = processes.run_forked(
                    command, timeout, python_path, hosts,
                    np.random.randint(2**31), **environment)
            except ConnectionError as error:
                warnings.warn(f'{error}: tests are slow', RuntimeWarning)
        if done is None:
            done = processes.run_started(
                command, timeout, python_path, **environment)
    except subprocess.TimeoutExpired as error:
        raise AssertionError(
            f'{command} ran longer than {timeout} s:\n{error.stdout}\n'
            f'{error.stderr}') from None
    if check and done.returncode:
        raise AssertionError(f'{command} failed:\n{done.stdout[-3000:]}\n'
                             f'{done.stderr[-5000:]}')
    return done


@pytest.fixture(name='run_python')
def run_python_fixture():
    return run_python


def write_frame(root, scene, frame, size=(48, 64), seed=0, camera='cam_00'):
    """Write one frame with h5py and OpenCV alone.

    The label has horizontal bands of ids 1..4 and one unlabelled row; the
    image is a grey that follows the label, so that it can be learnt.
    """
    height, width = size
    images = osp.join(root, scene, 'images')
    ids = (np.arange(height)[:, None] * 4 // height + 1) * np.ones(
        (1, width), int)
    ids[0] = -1
    grey = np.clip(ids, 0, 4) * 50
    noise = np.random.default_rng(seed).integers(0, 20, (height, width, 3))
    picture = (grey[..., None] + noise).astype(np.uint8)

    def write(kind, folder, array):
        path = osp.join(images, f'scene_{camera}_{folder}_hdf5')
        os.makedirs(path, exist_ok=True)
        with h5py.File(
                osp.join(path, f'frame.{frame:04d}.{kind}.hdf5'), 'w') as f:
            f['dataset'] = array

    write('semantic', 'geometry', ids.astype(np.int16))
    write('render_entity_id', 'geometry', ids.astype(np.int32))
    write('color', 'final', (picture / 255.).astype(np.float32)**2.2)
    preview = osp.join(images, f'scene_{camera}_final_preview')
    os.makedirs(preview, exist_ok=True)
    cv2.imwrite(osp.join(preview, f'frame.{frame:04d}.tonemap.jpg'),
                picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])
    return picture, ids


def write_hypersim(root, size=(48, 64), frames=3):
    """Write three scenes, one per split, and the official CSV."""
    rows = ['scene_name,camera_name,frame_id,included_in_public_release,'
            'exclude_reason,split_partition_name']
    for index, split in enumerate(('train', 'val', 'test')):
        scene = f'ai_00{index + 1}_001'
        for frame in range(frames):
            write_frame(root, scene, frame, size, seed=10 * index + frame)
            rows.append(f'{scene},cam_00,{frame},True,,{split}')
        rows.append(f'{scene},cam_00,99,False,bad,{split}')
    with open(osp.join(root, 'metadata_images_split_scene_v1.csv'),
              'w') as file:
        file.write('\n'.join(rows) + '\n')
    return root


@pytest.fixture(scope='session')
def hypersim_root(tmp_path_factory):
    """A Hypersim of nine frames of 64 x 48; read only."""
    return write_hypersim(str(tmp_path_factory.mktemp('hypersim')))


@pytest.fixture
def own_hypersim_root(tmp_path):
    """The same, for a test that damages it."""
    return write_hypersim(str(tmp_path / 'hypersim'))


def mini_options(data_root, **more):
    """Config options that make the mini config run in seconds."""
    options = {
        'train_dataloader.dataset.data_root': data_root,
        'val_dataloader.dataset.data_root': data_root,
        'test_dataloader.dataset.data_root': data_root,
        'train_dataloader.batch_size': 2,
        'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'val_dataloader.num_workers': 0,
        'val_dataloader.persistent_workers': False,
        'test_dataloader.num_workers': 0,
        'test_dataloader.persistent_workers': False,
        'train_cfg.max_iters': 2,
        'train_cfg.val_interval': 2,
        'default_hooks.logger.interval': 1,
    }
    options.update(more)
    return ['--cfg-options', *[f'{k}={v}' for k, v in options.items()]]


@pytest.fixture(name='mini_options')
def mini_options_fixture():
    return mini_options


@pytest.fixture(scope='session')
def trained_mini(hypersim_root, tmp_path_factory):
    """Work dir of two iterations of the mini config by tools/train.py."""

    def train(work_dir):
        done = run_python('tools/train.py', MINI_CONFIG, '--work-dir',
                          work_dir, *mini_options(hypersim_root))
        with open(osp.join(work_dir, 'stdout.txt'), 'w') as file:
            file.write(done.stdout + done.stderr)

    return make_once(tmp_path_factory, 'trained_mini', train)
