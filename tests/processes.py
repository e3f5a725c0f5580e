"""Python processes for the tests, forked from ones that have done the imports.

A real start imports torch, diffusers and the hosts for six to ten seconds; a
fork of a process that has them costs some milliseconds. As a script, this
module becomes two such processes: one that has imported the libraries, and,
forked from it, one that has imported this package and the hosts as well. They
serve requests on the sockets they are given, and end with the process that
started them.
"""
import atexit
import contextlib
import faulthandler
import gc
import importlib
import json
import os
import os.path as osp
import runpy
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
import warnings

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
# names of environment variables: the folder of the sockets; what forked
# processes take for the interpreter
SOCKETS = 'GENPERCEPT_TESTS_SOCKETS'
EXECUTABLE = 'GENPERCEPT_TESTS_EXECUTABLE'
PRELOADED = dict(
    libraries=(
        'torch', 'torch._dynamo', 'torch.distributed',
        'torch.utils.serialization.config', 'cv2', 'h5py', 'setuptools',
        'pkg_resources', 'transformers.models.clip.modeling_clip',
        'transformers.models.clip.tokenization_clip', 'peft',
        'safetensors.torch', 'diffusers.loaders.peft',
        'diffusers.models.autoencoders.autoencoder_kl',
        'diffusers.models.unets.unet_2d_condition',
        'diffusers.schedulers.scheduling_ddim',
        'matplotlib.backends.backend_agg', 'matplotlib.pyplot',
        'sklearn.gaussian_process', 'scipy.stats', 'scipy.optimize',
        'pycocotools.cocoeval', 'xtcocotools.cocoeval', 'skimage.transform',
        'shapely.geometry', 'rich.progress', 'yapf', 'json_tricks',
        'munkres', 'terminaltables', 'ftfy'),
    # this package first: compat acts before the hosts are imported
    hosts=(
        'genpercept_mm', 'genpercept_mm.registry', 'genpercept_mm.codecs',
        'genpercept_mm.datasets.transforms',
        'genpercept_mm.datasets.samplers', 'genpercept_mm.datasets',
        'genpercept_mm.models', 'genpercept_mm.engine',
        'genpercept_mm.evaluation', 'genpercept_mm.visualization',
        'mmseg.apis', 'mmdet.apis', 'mmpose.apis', 'mmpose.visualization'))


# -- server -------------------------------------------------------------------


def serve(listener):
    """Fork once for each request.

    Args:
        listener (socket.socket): Where clients connect, once per request.

    Returns:
        dict | None: In a forked process, the request; in the server, None
        when the process that started it is gone.
    """
    # no zombies of the processes that wait for those of the requests
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        # the starter never writes: readable means that it is gone
        if 0 in select.select([0, listener], [], [])[0]:
            return None
        connection, _ = listener.accept()
        if not os.fork():
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            with connection:
                request = json.loads(connection.makefile().readline())
                pid = os.fork()
                if not pid:
                    return request
                os.setpgid(pid, pid)
                code = wait(pid, connection, request['timeout'])
                connection.sendall(json.dumps(code).encode())
            os._exit(0)
        connection.close()


def wait(pid, connection, timeout):
    """Wait for a process, and end it when time is up or its client is gone.

    Args:
        pid (int): A child, and the group of its own children.
        connection (socket.socket): Readable when the client is gone.
        timeout (float): In seconds.

    Returns:
        int | None: As `subprocess.Popen.returncode`; None if time was up.
    """
    handle = os.pidfd_open(pid)
    ended = select.select([handle, connection], [], [], timeout)[0]
    if handle not in ended:
        if connection not in ended:
            # faulthandler writes where it stands
            os.kill(pid, signal.SIGABRT)
            select.select([handle], [], [], 10)
        os.killpg(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if handle in ended else None


def become(request):
    """Turn this forked process into the one that a request asks for.

    Args:
        request (dict): See `run_forked`.
    """
    import random

    import numpy
    import torch
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for descriptor, name in ((1, 'stdout'), (2, 'stderr')):
        file = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, descriptor)
    faulthandler.enable()
    os.chdir(request['cwd'])
    os.environ.clear()
    os.environ.update(request['environment'])
    sys.executable = os.environ.get(EXECUTABLE, sys.executable)
    # a started process draws its seeds from the system
    for set_seed in (random.seed, numpy.random.seed, torch.manual_seed):
        set_seed(request['seed'])
    # instead of the folder of this script and the server's own PYTHONPATH
    sys.path[:2] = request['python_path']
    kind, *arguments = request['command']
    if kind == '-c':
        sys.argv = ['-c', *arguments[1:]]
        sys.path.insert(0, '')
        module = sys.modules['__main__'] = types.ModuleType('__main__')
        exec(compile(arguments[0], '<string>', 'exec'), vars(module))
    elif kind == '-m':
        sys.argv = arguments
        sys.path.insert(0, request['cwd'])
        runpy.run_module(arguments[0], run_name='__main__', alter_sys=True)
    else:
        sys.argv = [kind, *arguments]
        sys.path.insert(0, osp.dirname(osp.abspath(kind)))
        runpy.run_path(kind, run_name='__main__')


def end(code):
    """End this process as the interpreter does, but leave the memory alone:
    to free it takes a second.

    Args:
        code (int | str | None): As of `SystemExit`.
    """
    threading._shutdown()
    atexit._run_exitfuncs()
    if isinstance(code, str):
        print(code, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def preload(names):
    """Import what is here of the modules, and start no thread."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            pass
    gc.collect()
    # forked processes share the pages of what lives
    gc.freeze()


def remember_formatted_configs():
    """Let yapf format a text once: mmengine asks for a config's again with
    every checkpoint, and half of a short training is spent there."""
    from mmengine.config import config
    format_code, known = config.FormatCode, {}

    def format_once(text, **options):
        if text not in known:
            known[text] = format_code(text, **options)
        return known[text]

    config.FormatCode = format_once


# -- client -------------------------------------------------------------------


def environment(python_path=(), **more):
    """The environment of a process of this checkout."""
    return dict(os.environ, PYTHONWARNINGS='ignore',
                PYTHONPATH=os.pathsep.join([*python_path, ROOT]), **more)


def start():
    """Start the servers, unless they are there; they end with this process.

    The folder of their sockets is named in the environment, which processes
    started from now on inherit. Where the system cannot do this, nothing but
    a warning happens.
    """
    if SOCKETS in os.environ:
        return
    if not hasattr(os, 'pidfd_open'):
        warnings.warn('no fork server on this system: tests are slow',
                      RuntimeWarning)
        return
    folder = tempfile.mkdtemp(prefix='tests')
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket(socket.AF_UNIX))
                     for _ in PRELOADED]
        for name, listener in zip(PRELOADED, listeners):
            try:
                listener.bind(osp.join(folder, name))
            except OSError as error:
                warnings.warn(f'no fork server: {error}: tests are slow',
                              RuntimeWarning)
                return
            listener.listen(64)
        numbers = [listener.fileno() for listener in listeners]
        start.server = subprocess.Popen(
            [sys.executable, __file__, *map(str, numbers)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=ROOT,
            # OpenMP's threads would not live in forked processes
            env=dict(environment(), OMP_NUM_THREADS='1'), pass_fds=numbers,
            # a Ctrl-C is for pytest
            start_new_session=True)
    os.environ[SOCKETS] = folder


def run_started(command, timeout, python_path=(), **variables):
    """Run Python from its start, in the repository.

    Args:
        command (list[str]): As after ``python``.
        timeout (float): In seconds.
        python_path (Sequence[str]): Folders that come first in PYTHONPATH.
        **variables (str): Environment variables.

    Returns:
        subprocess.CompletedProcess: With text.

    Raises:
        subprocess.TimeoutExpired: If time was up, with the output so far.
    """
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True,
        env=environment(python_path, **variables), timeout=timeout)


def run_forked(command, timeout, python_path=(), hosts=True, seed=0,
               cwd=ROOT, **variables):
    """Run Python in a fork of a server, as `run_started`.

    Args:
        command (list[str]): As after ``python``: a script, ``-m module`` or
            ``-c code``, with its arguments.
        timeout (float): In seconds.
        python_path (Sequence[str]): Folders that come first in PYTHONPATH.
            Modules that the server has imported are not looked for there.
        hosts (bool): Whether this package and the hosts are imported.
        seed (int): Seed of the global random states, which a started process
            draws from the system.
        cwd (str): The working directory.
        **variables (str): Environment variables. Libraries that read them when
            they are imported do not see them.

    Returns:
        subprocess.CompletedProcess: With text.

    Raises:
        subprocess.TimeoutExpired: If time was up, with the output so far.
        ConnectionError: If there is no server.
    """
    if SOCKETS not in os.environ:
        raise ConnectionError('the fork server has not started')
    with tempfile.TemporaryDirectory() as folder, socket.socket(
            socket.AF_UNIX) as connection:
        request = dict(
            command=command, cwd=cwd, timeout=timeout, seed=seed,
            environment=environment(python_path, **variables),
            python_path=[*python_path, ROOT],
            stdout=osp.join(folder, 'stdout'),
            stderr=osp.join(folder, 'stderr'))
        connection.connect(osp.join(
            os.environ[SOCKETS], 'hosts' if hosts else 'libraries'))
        connection.sendall(json.dumps(request).encode() + b'\n')
        answer = connection.makefile().read()
        if not answer:
            raise ConnectionError('the fork server has ended')
        outputs = []
        for name in ('stdout', 'stderr'):
            with open(request[name], errors='replace') as file:
                outputs.append(file.read())
    code = json.loads(answer)
    if code is None:
        raise subprocess.TimeoutExpired(command, timeout, *outputs)
    return subprocess.CompletedProcess(command, code, *outputs)


def write_executable(path):
    """Write a program that runs Python commands in forks.

    Processes that it runs take it for the interpreter, so that what they
    start is forked, too. Output comes when a process has ended.

    Args:
        path (str): The file to write.

    Returns:
        str: ``path``.
    """
    code = (f'import sys; sys.path.insert(0, {osp.dirname(__file__)!r});'
            'import processes; processes.relay()')
    command = shlex.join([sys.executable, '-S', '-E', '-c', code])
    with open(path, 'w') as file:
        file.write(f'#!/bin/sh\n{EXECUTABLE}="$0" exec {command} "$@"\n')
    os.chmod(path, 0o755)
    return path


def relay():
    """Run the command line in a fork; see `write_executable`."""
    # torchrun asks for unbuffered output
    command = sys.argv[2:] if sys.argv[1] == '-u' else sys.argv[1:]
    done = run_forked(
        command, 600, os.environ.get('PYTHONPATH', '').split(os.pathsep),
        seed=os.getpid(), cwd=os.getcwd())
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    sys.exit(done.returncode)


def main():
    """Become the servers; in a process forked from one, what is asked."""
    libraries, hosts = (socket.socket(fileno=int(number))
                        for number in sys.argv[1:])
    preload(PRELOADED['libraries'])
    if os.fork():
        hosts.close()
        request = serve(libraries)
    else:
        libraries.close()
        preload(PRELOADED['hosts'])
        remember_formatted_configs()
        request = serve(hosts)
    if request is None:
        return
    try:
        become(request)
    except SystemExit as error:
        end(error.code)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        end(1)
    end(0)


if __name__ == '__main__':
    main()
