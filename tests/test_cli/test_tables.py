from genpercept_mm.cli.tables import print_table


def test_columns_are_as_wide_as_their_longest_cell(capsys):
    print_table([('name', 'x'), ('a', '1'), ('longer', '22')])
    assert capsys.readouterr().out == (
        'name    x\na       1\nlonger  22\n')
