"""Packaging; also puts configs and tools where mim looks for them."""
import os
import os.path as osp
import shutil

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.develop import develop

HERE = osp.dirname(osp.abspath(__file__))
PACKAGE = 'genpercept_mm'
MIM_PARTS = ('configs', 'tools', 'model-index.yml')


def read_requirements(name):
    with open(osp.join(HERE, 'requirements', f'{name}.txt')) as file:
        lines = (line.split('#')[0].strip() for line in file)
        return [line for line in lines if line]


def read_version():
    scope = {}
    with open(osp.join(HERE, PACKAGE, 'version.py')) as file:
        exec(file.read(), scope)
    return scope['__version__']


def fill_mim(folder, link):
    """Put configs, tools and model index into ``<folder>/.mim``."""
    target = osp.join(folder, '.mim')
    if osp.isdir(target):
        shutil.rmtree(target)
    os.makedirs(target)
    for part in MIM_PARTS:
        source = osp.join(HERE, part)
        if link:
            try:
                os.symlink(osp.relpath(source, target),
                           osp.join(target, part))
                continue
            except OSError:
                pass  # links need a privilege on Windows; copy instead
        if osp.isdir(source):
            shutil.copytree(
                source,
                osp.join(target, part),
                ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copyfile(source, osp.join(target, part))


class BuildPy(build_py):
    """Wheels, and `pip install -e` by way of an editable wheel."""

    def run(self):
        super().run()
        if getattr(self, 'editable_mode', False):
            fill_mim(osp.join(HERE, PACKAGE), link=True)
        else:
            fill_mim(osp.join(self.build_lib, PACKAGE), link=False)


class Develop(develop):
    """`setup.py develop`, the older editable route."""

    def run(self):
        super().run()
        fill_mim(osp.join(HERE, PACKAGE), link=True)


setup(
    name=PACKAGE,
    version=read_version(),
    description='GenPercept for OpenMMLab: Stable Diffusion U-Nets as '
    'backbones for dense perception',
    long_description=open(osp.join(HERE, 'README.md')).read(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={PACKAGE: ['weights/**/*']},
    python_requires='>=3.11',
    install_requires=read_requirements('runtime'),
    extras_require=dict(
        lite=['mmcv-lite==2.1.0'],
        dis=read_requirements('dis'),
        export=read_requirements('export'),
        mini=read_requirements('mini'),
        openvino=read_requirements('openvino'),
        hosts=read_requirements('hosts'),
        tests=read_requirements('tests')),
    entry_points=dict(
        console_scripts=['genpercept = genpercept_mm.cli.main:main']),
    cmdclass=dict(build_py=BuildPy, develop=Develop),
    zip_safe=False)
