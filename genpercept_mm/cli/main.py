"""The console command ``genpercept``."""
import argparse
import importlib
import sys

from genpercept_mm.version import __version__

# Each name is also that of a module beside this one, which has
# add_arguments(parser) and run(args), which returns the exit status.
COMMANDS = dict(
    infer='predict maps for images, folders or videos',
    export='write a model as ONNX or for torch.export',
    models='list the published weights that infer takes by name',
    verify='evaluate published weights on benchmarks, beside their papers',
    env='report what is installed and which path each piece takes')


def main(argv=None):
    """Run a sub-command and return its exit status.

    Only the module of the given sub-command is imported, so that help and
    usage errors appear at once. ``argv`` holds the arguments, by default those
    of the process. Raises a SystemExit after ``--help``, ``--version`` or
    wrong usage.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog='genpercept', description='Stable Diffusion U-Nets as backbones '
        'for dense perception, in OpenMMLab.')
    parser.add_argument('--version', action='version', version=__version__)
    commands = parser.add_subparsers(
        dest='command', metavar='COMMAND', required=True)
    modules = {}
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if argv[:1] == [name]:
            modules[name] = importlib.import_module(f'.{name}', __package__)
            modules[name].add_arguments(command)
    args = parser.parse_args(argv)
    return modules[args.command].run(args)


if __name__ == '__main__':
    sys.exit(main())
