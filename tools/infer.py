"""Maps from photographs: the same as the command ``genpercept infer``."""
import sys

from genpercept_mm.cli.main import main

if __name__ == '__main__':
    sys.exit(main(['infer', *sys.argv[1:]]))
