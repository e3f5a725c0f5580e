"""Pieces of Markdown that the written tables share."""
import os.path as osp
import re

MISSING = '–'
READING = re.compile(r'<!-- reading -->.*?<!-- /reading -->', re.S)
EMPTY_READING = '<!-- reading -->\n<!-- /reading -->'


def markdown_table(header, rows):
    """Lay out a table.

    Args:
        header (Sequence[str]): Column names.
        rows (Sequence[Sequence[str]]): Cells; text is in the first column.

    Returns:
        str: Lines with a line break at the end.
    """
    lines = [header, ['---'] + ['---:'] * (len(header) - 1), *rows]
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def number(value, digits):
    """Write a number, or that there is none.

    Args:
        value (float | None): The number.
        digits (int): After the point.

    Returns:
        str: A dash for None.
    """
    return MISSING if value is None else f'{value:.{digits}f}'


def kept_reading(path):
    """Read what somebody wrote about a table into its file.

    Args:
        path (str): The file that is to be written again.

    Returns:
        str: The block between ``<!-- reading -->`` and
        ``<!-- /reading -->``, with these marks; an empty one if there is no
        file.

    Raises:
        ValueError: If there is a file without such a block, which writing
            would lose.
    """
    if not osp.isfile(path):
        return EMPTY_READING
    with open(path, encoding='utf-8') as file:
        blocks = READING.findall(file.read())
    if len(blocks) != 1:
        raise ValueError(
            f'{path} exists and has {len(blocks)} blocks between <!-- reading'
            ' --> and <!-- /reading --> instead of one, so it may not be a '
            'table of this tool; move it, or write to another file with '
            '--out.')
    return blocks[0]
