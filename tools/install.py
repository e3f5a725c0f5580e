"""Install what the project needs into the environment that runs this.

What is installed already stays as it is: a torch, torchvision or compiled
mmcv of your own is used. What is missing comes in the versions of
requirements/constraints.txt. Needs only the standard library.
"""
import argparse
import os.path as osp
import re
import subprocess
import sys
import tempfile
from importlib import metadata

HERE = osp.dirname(osp.dirname(osp.abspath(__file__)))
PYTHONS = ((3, 11), (3, 12))
REQUIREMENTS = osp.join(HERE, 'requirements')


def installed_version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def effective_constraints():
    """Pin what is here to its version, and the rest to constraints.txt."""
    lines = []
    with open(osp.join(REQUIREMENTS, 'constraints.txt')) as file:
        for line in file:
            match = re.match(r'([\w.-]+)==(\S+)', line)
            if match:
                name, pinned = match.groups()
                version = installed_version(name)
                # venv brings a setuptools that is too new
                if name == 'setuptools' or version is None:
                    version = pinned
                lines.append(f'{name}=={version}')
    return '\n'.join(lines) + '\n'


def pip(*args):
    command = [sys.executable, '-m', 'pip', 'install',
               '--disable-pip-version-check', *args]
    print('+ pip install', ' '.join(args), flush=True)
    subprocess.run(command, check=True, cwd=HERE)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--groups',
        nargs='*',
        default=[],
        choices=['dis', 'hosts', 'mini', 'tests'],
        help='what to install beside the runtime: dis (PySODMetrics), hosts '
        '(mmdet, mmpose), mini (renderer of mini-Hypersim), tests')
    parser.add_argument(
        '--pip-args', default='', help='further arguments of pip install')
    args = parser.parse_args()
    if sys.version_info[:2] not in PYTHONS:
        sys.exit(
            f'This is Python {sys.version.split()[0]}; the pinned versions '
            'exist for 3.11 and, without mmpose, for 3.12. Name one of them: '
            'make demo PYTHON=python3.11 (after make clean).')
    extra = args.pip_args.split()
    with tempfile.TemporaryDirectory() as folder:
        constraints = osp.join(folder, 'constraints.txt')
        with open(constraints, 'w') as file:
            file.write(effective_constraints())
        extra += ['-c', constraints]
        wanted = ['wheel']
        if not installed_version('mmcv'):
            wanted.append('mmcv-lite')
        for group in ['runtime', *args.groups]:
            wanted += ['-r', osp.join('requirements', f'{group}.txt')]
        pip(*wanted, *extra)
        if ('hosts' in args.groups and sys.version_info < (3, 12)
                and not installed_version('mmpose')):
            pip('--no-deps', 'mmpose', *extra)
        if 'dis' in args.groups and not installed_version('pysodmetrics'):
            pip('--no-deps', 'pysodmetrics', *extra)
    pip('--no-deps', '--no-build-isolation', '-q', '-e', '.')


if __name__ == '__main__':
    main()
