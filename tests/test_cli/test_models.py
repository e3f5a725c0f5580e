"""``genpercept models``."""
from genpercept_mm.apis import list_models
from genpercept_mm.cli.main import main


def test_all_models_are_listed(capsys):
    assert main(['models']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ['name', *list_models()]


def test_patterns_and_tasks(capsys):
    assert main(['models', 'lotus-*', '--task', 'normal']) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [
        'lotus-d-normal', 'lotus-g-normal']
    assert main(['models', 'none-*']) == 1
    assert "none matches 'none-*'" in capsys.readouterr().err


def test_the_command_for_another_machine(capsys):
    assert main(['models', '--download-command', 'lotus-d-depth']) == 0
    assert capsys.readouterr().out.startswith(
        'hf download jingheya/lotus-depth-d-v1-0 --include')
    assert main(['models', '--download-command', 'lotus']) == 1
    assert 'is not a published model' in capsys.readouterr().err
