"""Run trainings and evaluations as processes, several at a time."""
import datetime
import os
import os.path as osp
import re
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager

import torch
from benchmarking.hardware import available_cores, describe_hardware

from . import store
from .frames import count_test_frames, count_train_frames
from .plan import by_training

try:
    import fcntl
except ImportError:  # Windows: two commands at once are not kept apart
    fcntl = None

PROGRESS_SECONDS = 30
TAIL_LINES = 25
ITERATION = re.compile(r'Iter\(train\) \[\s*(\d+)/\d+\]')


class RunError(Exception):
    """A training or an evaluation ended with an error."""


class _Stopped(Exception):
    """Another thread asked to stop."""


class Execution:
    """Run the trials that do not have a result yet.

    A job is a training and its evaluations. Finished results are reused, and
    interrupted trainings continue. Every process writes a log file beside
    its results. A failing job does not affect the others. Two commands that
    use the same folders wait for each other.

    Args:
        root (str): Folder that contains ``tools/``.
        jobs (int): Number of jobs at a time; each gets an equal share of the
            cores. Defaults to 1.
        report (Callable): Takes lines of progress. Defaults to ``print``.
    """

    def __init__(self, root, jobs=1, report=print):
        self.root, self.jobs, self.report = root, jobs, report
        self.threads = max(1, available_cores() // jobs)
        self.hardware = describe_hardware(
            'cuda' if torch.cuda.is_available() else 'cpu', self.threads)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        # registries are not thread-safe
        self._registry_lock = threading.Lock()
        self._processes = set()
        self._running = {}
        # jobs take turns on the devices
        self._devices = [[] for _ in range(torch.cuda.device_count())]

    def run(self, trials):
        """Run the trials that have no valid result.

        Args:
            trials (Sequence[Trial]): From `plan`.

        Returns:
            dict[Trial, str]: The trials that failed, and the messages.
        """
        todo = by_training([trial for trial in trials
                            if store.read_result(trial) is None])
        if not todo:
            return {}
        failures, done, start = {}, 0, time.time()
        with ThreadPoolExecutor(self.jobs) as pool:
            pending = {pool.submit(self._run_job, job) for job in todo}
            try:
                while pending:
                    finished, pending = wait(
                        pending, PROGRESS_SECONDS, FIRST_COMPLETED)
                    for future in finished:
                        failures.update(future.result())
                    done += len(finished)
                    self._show_progress(done, len(todo), start)
            except BaseException:
                # above all on Ctrl-C: no process may outlive this one
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                self._end_processes()
                raise
        return failures

    def _show_progress(self, done, total, start):
        with self._lock:
            running = dict(self._running)
        shares = [_share_done(log, max_iters)
                  for log, max_iters in running.values()]
        elapsed = time.time() - start
        share = (done + sum(shares)) / total
        left = 'unknown' if not share else _duration(
            elapsed * (1 - share) / share)
        names = ', '.join(f'{name} {share:.0%}' for name, share in zip(
            running, shares))
        self.report(f'[{done}/{total} trainings, {_duration(elapsed)}, eta '
                    f'{left}] {names}'.rstrip())

    def _run_job(self, trials):
        """Train, then evaluate; returns the failures."""
        first, failures = trials[0], {}
        try:
            with _locked(self._stop, self.report, [
                    first.train_folder, *(t.folder for t in trials)]) as locks:
                trials = [trial for trial in trials
                          if store.read_result(trial) is None]
                seconds = self._train(first, locks) if trials else None
                for trial in trials:
                    if store.read_result(trial) is not None:
                        # another row with the same settings has made it
                        continue
                    try:
                        self._evaluate(trial, seconds, locks)
                    except _Stopped:
                        raise
                    except Exception as error:
                        failures[trial] = self._report_failure(
                            trial.name, error)
        except _Stopped:
            pass
        # whatever it is, other jobs may have days of work ahead of them
        except Exception as error:
            failures = dict.fromkeys(trials, self._report_failure(
                f'{first.trainer.key} seed {first.seed}', error))
        return failures

    def _report_failure(self, name, error):
        message = str(error)
        if not isinstance(error, (RunError, OSError)):
            message = f'{type(error).__name__}: {message}'
        self.report(f'{name}: FAILED\n{message}')
        return message

    def _train(self, trial, locks):
        """Train, unless that is done; returns the seconds that it took, or
        None if an earlier run did all or part of it."""
        if store.finished_checkpoint(trial) is not None:
            return None
        work_dir = osp.join(trial.train_folder, 'train')
        name = f'{trial.trainer.key} seed {trial.seed}'
        aside = store.begin_training(trial)
        if aside is not None:
            self.report(f'{name}: its config or pretrained weights have '
                        'changed since it was trained; training again (the '
                        f'old training is kept in {aside})')
        fresh = not osp.isfile(osp.join(work_dir, 'last_checkpoint'))
        seconds = self._call(
            name, trial, osp.join(trial.train_folder, 'train.log'), locks,
            'tools/train.py',
            store.write_config(
                osp.join(trial.train_folder, 'train_config.py'),
                trial.train_cfg),
            '--work-dir', work_dir, '--resume',
            *(['--amp'] if trial.amp else []),
            '--cfg-options', f'randomness.seed={trial.seed}')
        if store.finished_checkpoint(trial) is None:
            raise RunError(f'{name}: the training left no iter_'
                           f'{trial.max_iters}.pth in {work_dir}; its config '
                           'must save the last iteration.')
        return seconds if fresh else None

    def _evaluate(self, trial, train_seconds, locks):
        work_dir = osp.join(trial.folder, 'test')
        shutil.rmtree(work_dir, ignore_errors=True)
        seconds = self._call(
            f'{trial.name} (test)', trial, osp.join(trial.folder, 'test.log'),
            locks, 'tools/test.py',
            store.write_config(
                osp.join(trial.folder, 'test_config.py'), trial.cfg),
            store.finished_checkpoint(trial), '--work-dir', work_dir,
            '--cfg-options', f'randomness.seed={trial.seed}')
        store.write_result(
            trial, metrics=store.read_metrics(work_dir),
            date=datetime.date.today().isoformat(), **self.hardware,
            **self._count(trial), train_seconds=train_seconds,
            test_seconds=round(seconds, 1))

    def _count(self, trial):
        with self._registry_lock:
            return dict(
                train_frames=count_train_frames(trial.train_cfg),
                test_frames=count_test_frames(trial.cfg))

    def _call(self, name, trial, log, locks, *command):
        """Run a Python script in its own process; returns the seconds."""
        env = dict(
            os.environ, PYTHONWARNINGS='ignore', MPLBACKEND='Agg',
            OMP_NUM_THREADS=str(self.threads),
            MKL_NUM_THREADS=str(self.threads),
            PYTHONPATH=os.pathsep.join(filter(None, [
                osp.abspath(self.root), os.environ.get('PYTHONPATH')])))
        start = time.time()
        with open(log, 'wb') as output:
            with self._lock:
                if self._stop.is_set():
                    raise _Stopped
                env.update(self._choose_device(name))
                process = subprocess.Popen(
                    [sys.executable, *command], cwd=self.root, env=env,
                    stdout=output, stderr=subprocess.STDOUT,
                    # a child that outlives this process holds the locks
                    pass_fds=locks)
                self._processes.add(process)
                self._running[name] = log, trial.max_iters
        try:
            status = process.wait()
        finally:
            with self._lock:
                self._processes.discard(process)
                del self._running[name]
                for jobs in self._devices:
                    if name in jobs:
                        jobs.remove(name)
        if self._stop.is_set():
            raise _Stopped
        if status:
            raise RunError(f'{name} ended with status {status}; the end of '
                           f'{log}:\n{_tail(log)}')
        return time.time() - start

    def _choose_device(self, name):
        """Return the variable that shows a job the least used GPU."""
        if not self._devices:
            return {}
        index = min(range(len(self._devices)),
                    key=lambda index: len(self._devices[index]))
        self._devices[index].append(name)
        visible = os.environ.get('CUDA_VISIBLE_DEVICES')
        names = (visible.split(',') if visible
                 else list(map(str, range(len(self._devices)))))
        return dict(CUDA_VISIBLE_DEVICES=names[index])

    def _end_processes(self):
        with self._lock:
            processes = list(self._processes)
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def _locked(stop, report, folders):
    """Keep other commands out of folders; yields the lock files' numbers.

    The system releases a lock when the last process that has the file open
    ends.
    """
    with ExitStack() as stack:
        numbers = []
        # sorted, so that two commands cannot deadlock
        for folder in sorted(set(folders)):
            os.makedirs(folder, exist_ok=True)
            if fcntl is None:
                continue
            file = stack.enter_context(open(osp.join(folder, 'lock'), 'w'))
            numbers.append(file.fileno())
            _acquire(file, stop, report, folder)
        yield numbers


def _acquire(file, stop, report, folder):
    told = False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not told:
                report(f'{folder}: another command works there; waiting')
                told = True
            if stop.wait(1):
                raise _Stopped from None


def _share_done(log, max_iters):
    """Read from its log which share of a training is done."""
    try:
        found = ITERATION.findall(_tail(log))
    except FileNotFoundError:
        return 0
    return int(found[-1]) / max_iters if found else 0


def _tail(path):
    """Read the last lines of a log."""
    with open(path, 'rb') as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 16384))
        text = file.read().decode(errors='replace')
    return '\n'.join(text.splitlines()[-TAIL_LINES:])


def _duration(seconds):
    return str(datetime.timedelta(seconds=round(seconds)))
