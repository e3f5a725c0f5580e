"""The same as `miniworld.py persons`."""
import sys

from miniworld.command import main

if __name__ == '__main__':
    main(['persons', *sys.argv[1:]])
