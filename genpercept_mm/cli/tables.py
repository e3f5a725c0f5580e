"""Tables of text."""


def print_table(rows):
    """Print rows of str in columns, the header first."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print('  '.join(cell.ljust(width) for cell, width in zip(
            row, widths)).rstrip())
