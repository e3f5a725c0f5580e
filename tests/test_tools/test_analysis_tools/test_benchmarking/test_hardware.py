import os
import threading

import pytest
import torch
from benchmarking.hardware import (
    available_cores,
    describe_hardware,
)


def test_only_cores_that_this_thread_may_use():
    if not hasattr(os, 'sched_setaffinity'):
        pytest.skip('no affinity on this system')
    found = []

    def pinned():
        # affinity belongs to a thread, so the others keep theirs
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
        found.append(available_cores())

    thread = threading.Thread(target=pinned)
    thread.start()
    thread.join()
    assert found == [1]
    assert 1 <= available_cores() <= os.cpu_count()


def test_the_description_names_processor_threads_and_torch():
    found = describe_hardware('cpu', 3)
    assert found['torch'] == torch.__version__
    assert f'{os.cpu_count()} cores, 3 threads each' in found['hardware']
    assert found['hardware'].split(',')[0].strip()
    assert describe_hardware('cpu', 1)['hardware'].endswith('1 thread each')
