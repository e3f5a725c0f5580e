"""The same as `miniworld.py subjects`."""
import sys

from miniworld.command import main

if __name__ == '__main__':
    main(['subjects', *sys.argv[1:]])
