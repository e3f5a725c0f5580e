"""The same as `miniworld.py rooms`."""
import sys

from miniworld.command import main

if __name__ == '__main__':
    main(['rooms', *sys.argv[1:]])
