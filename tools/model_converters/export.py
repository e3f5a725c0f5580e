"""Models for other runtimes: the same as the command ``genpercept export``."""
import sys

from genpercept_mm.cli.main import main

if __name__ == '__main__':
    sys.exit(main(['export', *sys.argv[1:]]))
