"""Make a small data set of rooms, subjects or persons."""
from miniworld.command import main

if __name__ == '__main__':
    main()
