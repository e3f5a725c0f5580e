import json
import time

import pytest
import torch
from benchmarking.clock import Clock
from conftest import run_python


@pytest.fixture
def now(monkeypatch):
    """A time that only the tests let pass."""
    now = [0.]
    monkeypatch.setattr(time, 'perf_counter', lambda: now[0])
    return now


def test_calls_are_timed_in_turns_and_the_first_rounds_left_out(now):
    durations = dict(a=[9, 1, 3, 8], b=[7, 5, 5, 2])
    log = []

    def lasts(name):
        def call():
            now[0] += durations[name][log.count(name)]
            log.append(name)
        return call

    found = Clock('cpu').compare([lasts('a'), lasts('b')], 3, warmup=1)
    assert log == ['a', 'b'] * 4
    assert found == [3, 5]


@pytest.mark.parametrize('name, dtype', [
    ('fp32', torch.float32), ('bf16', torch.bfloat16)])
def test_calls_run_in_the_type_that_was_asked_for(name, dtype):
    found = []
    layer = torch.nn.Linear(2, 2)
    seconds = Clock('cpu', name).seconds(
        lambda: found.append(layer(torch.ones(1, 2)).dtype))
    assert found == [dtype]
    assert seconds > 0


@pytest.mark.nightly
def test_the_high_water_mark_is_the_calls_and_not_the_parents():
    """300 MiB below a parent with a gigabyte."""
    done = run_python('-c', '''
import subprocess, sys
ballast = bytearray(2**30)
print(subprocess.run([sys.executable, "-c", """
from benchmarking.clock import Clock
clock = Clock("cpu")
before = clock.peak_memory()
print([before, clock.peak(lambda: bytearray(300 * 2**20)),
       clock.peak_memory()])
"""], capture_output=True, text=True, check=True).stdout)''',
                      python_path=['tools/analysis_tools'])
    before, peak, after = json.loads(done.stdout)
    assert before < .9
    assert peak - before == pytest.approx(300 / 1024, abs=.05)
    # what is free again does not lower it
    assert after == pytest.approx(peak, abs=.01)
