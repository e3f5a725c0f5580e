"""Markdown that the reports share."""
import os.path as osp
import re

MISSING = '–'
READING = re.compile(r'<!-- reading -->.*?<!-- /reading -->', re.S)
EMPTY_READING = '<!-- reading -->\n<!-- /reading -->'


def markdown_table(header, rows):
    """Lay out a table.

    Args:
        header (Sequence[str]): Column names.
        rows (Sequence[Sequence[str]]): Cells; the first column is aligned
            left, the others right.

    Returns:
        str: The lines of the table, each with a line break at its end.
    """
    lines = [header, ['---'] + ['---:'] * (len(header) - 1), *rows]
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def number(value, digits):
    """Format a number that may be missing.

    Args:
        value (float | None): The number.
        digits (int): Number of digits after the point.

    Returns:
        str: The number, or a dash for None.
    """
    return MISSING if value is None else f'{value:.{digits}f}'


def kept_reading(path):
    """Read the comments that somebody wrote into the file of a table.

    Args:
        path (str): The file that is about to be written again.

    Returns:
        str: The block between ``<!-- reading -->`` and
        ``<!-- /reading -->``, including these marks; an empty block if the
        file does not exist.

    Raises:
        ValueError: If the file does not have exactly one such block, as its
            content would be lost.
    """
    if not osp.isfile(path):
        return EMPTY_READING
    with open(path, encoding='utf-8') as file:
        blocks = READING.findall(file.read())
    if len(blocks) != 1:
        raise ValueError(
            f'{path} exists and has {len(blocks)} blocks between <!-- reading'
            ' --> and <!-- /reading --> instead of one, so this tool may not '
            'have written it; move it, or write to another file with --out.')
    return blocks[0]
