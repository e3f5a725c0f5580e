"""``python -m genpercept_mm.env``: the same as ``genpercept env``."""
from .cli.env import main

if __name__ == '__main__':
    main()
