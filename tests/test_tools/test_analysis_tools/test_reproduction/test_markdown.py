import pytest
from reproduction.markdown import (
    kept_reading,
    markdown_table,
    number,
)


def test_a_table_as_written_by_hand():
    assert markdown_table(['row', 'n'], [['a', '1'], ['b', number(None, 2)],
                                         ['c', number(.125, 1)]]) == (
        '| row | n |\n| --- | ---: |\n| a | 1 |\n| b | – |\n| c | 0.1 |\n')


def test_the_reading_is_kept_with_its_line_breaks(tmp_path):
    path = tmp_path / 'table.md'
    empty = '<!-- reading -->\n<!-- /reading -->'
    assert kept_reading(str(path)) == empty
    block = '<!-- reading -->\nThe order holds: δ1.\n\n<!-- /reading -->'
    path.write_text(f'# Title\n{block}\nend', encoding='utf-8')
    assert kept_reading(str(path)) == block


@pytest.mark.parametrize('text, count', [
    ('# Somebody\'s notes', 0),
    ('<!-- reading -->\n<!-- /reading -->\n' * 2, 2)])
def test_a_file_that_writing_would_damage_is_refused(tmp_path, text, count):
    path = tmp_path / 'table.md'
    path.write_text(text)
    with pytest.raises(ValueError, match=f'table.md exists and has {count} '
                       'blocks'):
        kept_reading(str(path))
