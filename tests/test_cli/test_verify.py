"""``genpercept verify``."""
from genpercept_mm.apis import verification
from genpercept_mm.cli.main import main

REPORT = dict(
    name='genpercept-depth', config='c.py', dtype='fp32', device='cpu',
    benchmarks=dict(
        nyuv2=dict(images=654, ours=dict(abs_rel=.0519, delta1=.966),
                   paper=dict(abs_rel=.052)),
        extra=dict(images=2, ours=dict(abs_rel=.25), paper={})))


def test_ours_stand_beside_the_papers_numbers(monkeypatch, capsys):
    given = []
    monkeypatch.setattr(verification, 'verify',
                        lambda *args: given.append(args) or REPORT)
    assert main(['verify', 'genpercept-depth', '--data', 'somewhere',
                 '--dtype', 'bf16']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:3]] == [
        ['benchmark', 'images', 'metric', 'ours', 'paper'],
        ['nyuv2', '654', 'abs_rel', '0.0519', '0.052'],
        ['extra', '2', 'abs_rel', '0.25', '-']]
    assert lines[3].startswith('verify_genpercept-depth.json: protocol of c.')
    assert given == [('genpercept-depth', 'somewhere',
                      'verify_genpercept-depth.json', None, 'bf16', 2)]


def test_an_unknown_name_is_one_line(capsys):
    assert main(['verify', 'genpercept-deth', '--data', '.']) == 1
    said = capsys.readouterr().err
    assert said.startswith('genpercept verify: ')
    assert 'did you mean genpercept-depth' in said and said.count('\n') == 1
