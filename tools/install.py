"""Install what the project needs into the Python that runs this script.

Packages that are already installed keep their version, so a torch,
torchvision or compiled mmcv of your own is used. Missing packages are
installed in the versions of requirements/constraints.txt. The script itself
needs only the standard library.
"""
import argparse
import os.path as osp
import re
import subprocess
import sys
import tempfile
from importlib import metadata

HERE = osp.dirname(osp.dirname(osp.abspath(__file__)))
PYTHONS = ((3, 11), (3, 12), (3, 13))
REQUIREMENTS = osp.join(HERE, 'requirements')
# Installed without their dependencies; requirements/<group>.txt says why.
WITHOUT_DEPENDENCIES = dict(dis='pysodmetrics', hosts='mmpose')


def installed_version(name):
    """Return the version of an installed distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def effective_constraints():
    """Return constraints.txt with installed packages pinned as they are."""
    lines = []
    with open(osp.join(REQUIREMENTS, 'constraints.txt')) as file:
        for line in file.read().splitlines():
            name = re.match(r'[\w.-]*', line).group()
            version = name and installed_version(name)
            # A setuptools that is already there is usually too new.
            if version and name != 'setuptools':
                line = f'{name}=={version}'
            lines.append(line)
    return '\n'.join(lines) + '\n'


def pip(*args):
    """Run ``pip install`` in the repository and stop if it fails."""
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
        choices=['dis', 'export', 'hosts', 'mini', 'tests'],
        help='what to install besides the runtime: dis (PySODMetrics), '
        'export (ONNX), hosts (mmdet, mmpose), mini (the renderer of '
        'mini-Hypersim), tests')
    parser.add_argument(
        '--pip-args', default='', help='additional arguments for pip install')
    args = parser.parse_args()
    if sys.version_info[:2] not in PYTHONS:
        versions = ', '.join('.'.join(map(str, v)) for v in PYTHONS)
        sys.exit(
            f'This is Python {sys.version.split()[0]}, but the pinned '
            f'versions are known to work with Python {versions} only. Choose '
            'one of these, for example by: make demo PYTHON=python3.11 '
            '(after make clean).')
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
        for group, name in WITHOUT_DEPENDENCIES.items():
            if group in args.groups and not installed_version(name):
                pip('--no-deps', name, *extra)
    pip('--no-deps', '--no-build-isolation', '-q', '-e', '.')


if __name__ == '__main__':
    main()
