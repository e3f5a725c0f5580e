import os

import pytest
import torch
from benchmarking.hardware import (
    available_cores,
    describe_hardware,
)


def test_only_cores_that_this_process_may_use(run_python):
    if not hasattr(os, 'sched_setaffinity'):
        pytest.skip('no affinity on this system')
    done = run_python('-c', '''
import os
from benchmarking.hardware import available_cores
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
print(available_cores())''', python_path=['tools/analysis_tools'])
    assert done.stdout.split() == ['1']
    assert 1 <= available_cores() <= os.cpu_count()


def test_the_description_names_processor_threads_and_torch():
    found = describe_hardware('cpu', 3)
    assert found['torch'] == torch.__version__
    assert f'{os.cpu_count()} cores, 3 threads each' in found['hardware']
    assert found['hardware'].split(',')[0].strip()
    assert describe_hardware('cpu', 1)['hardware'].endswith('1 thread each')
