import pytest
from conftest import run_python

import genpercept_mm
from genpercept_mm.cli.main import main

# what the installed script does
SCRIPT = 'import sys\nfrom genpercept_mm.cli.main import main\n'


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        main(['--help'])
    assert stop.value.code == 0
    assert 'env ' in capsys.readouterr().out


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit):
        main(['--version'])
    assert capsys.readouterr().out.strip() == genpercept_mm.__version__


@pytest.mark.parametrize('argv, message', [
    ([], 'the following arguments are required: COMMAND'),
    (['paint'], "invalid choice: 'paint'"),
    (['env', '--fast'], 'unrecognized arguments: --fast')])
def test_wrong_usage_is_explained(argv, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_the_start_imports_nothing_heavy():
    done = run_python('-c', SCRIPT + '''
try:
    main()
finally:
    print(sorted({'torch', 'mmcv', 'mmseg', 'diffusers'} & set(sys.modules)))
''', '--version', fresh=True)
    assert done.stdout.split('\n')[:2] == [genpercept_mm.__version__, '[]']
