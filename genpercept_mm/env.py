"""``python -m genpercept_mm.env``: the same as ``genpercept env``."""
import sys

from .cli.main import main

if __name__ == '__main__':
    sys.exit(main(['env', *sys.argv[1:]]))
