import os
import os.path as osp
import shutil
from importlib import metadata

import pytest

IMPORT_HOSTS = ('import genpercept_mm, mmseg.models, mmdet.models, '
                'mmpose.models, mmpose.visualization, sys;')


def test_hosts_import_without_compiled_ops_and_ops_say_what_to_do(run_python):
    if not any(d.name == 'mmcv-lite' for d in metadata.distributions()):
        pytest.skip('compiled mmcv is installed here')
    done = run_python(
        '-c', IMPORT_HOSTS + 'from mmcv.ops import carafe, nms; import torch;'
        'print(type(sys.modules["mmcv._ext"]).__name__);'
        'print(nms(torch.tensor([[0, 0, 2, 2.], [0, 0, 2, 1.9]]),'
        'torch.tensor([.3, .9]), 0.5)[1]);'
        'x = torch.rand(1, 4, 2, 2);'
        'carafe(x, torch.rand(1, 9, 4, 4), 3, 1, 2)', check=False,
        hosts=False)
    assert done.stdout.split('\n')[:2] == ['MissingOps', 'tensor([1])']
    assert done.returncode
    assert ("NotImplementedError: mmcv op 'carafe_forward' needs compiled "
            'mmcv, and mmcv-lite has none. Install it with: pip install') in (
        done.stderr)


def test_compiled_mmcv_is_left_alone(run_python, full_mmcv):
    done = run_python(
        '-c', IMPORT_HOSTS + 'import mmcv.ops; ext = sys.modules["mmcv._ext"];'
        'print(ext.__file__); print(ext.carafe_forward)',
        python_path=[full_mmcv], hosts=False)
    first, second = done.stdout.strip().split('\n')[-2:]
    assert first.startswith(full_mmcv) and 'built-in method' in second


@pytest.mark.nightly
def test_compiled_mmcv_that_does_not_load_is_replaced(
        run_python, full_mmcv, tmp_path):
    broken = str(tmp_path / 'broken')
    shutil.copytree(full_mmcv, broken)
    extension, = [name for name in os.listdir(osp.join(broken, 'mmcv'))
                  if name.startswith('_ext') and name.endswith('.so')]
    with open(osp.join(broken, 'mmcv', extension), 'wb') as file:
        file.write(b'not a library')
    done = run_python(
        '-c', 'import sys, genpercept_mm, mmcv.ops;'
        'extension = sys.modules["mmcv._ext"];'
        'print(type(extension).__name__, extension.reason)',
        python_path=[broken])
    assert done.stdout.split('\n')[-2].startswith(
        'MissingOps the installed one does not load')
