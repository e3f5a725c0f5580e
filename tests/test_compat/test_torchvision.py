import pytest

from genpercept_mm.compat import torchvision_problem


def test_simcc_drawing_explains_itself_without_torchvision():
    pytest.importorskip('mmpose')
    if torchvision_problem() is None:
        pytest.skip('torchvision works here')
    from mmpose.visualization.local_visualizer import SimCCVisualizer
    with pytest.raises(ImportError, match='SimCCVisualizer needs torchvision'):
        SimCCVisualizer()


@pytest.mark.nightly
def test_a_broken_torchvision_is_reported_not_fatal(run_python, tmp_path):
    (tmp_path / 'torchvision').mkdir()
    (tmp_path / 'torchvision/__init__.py').write_text(
        'raise RuntimeError("operator torchvision::nms does not exist")')
    done = run_python(
        '-c', 'import runpy, genpercept_mm, mmpose.visualization;'
        'runpy.run_module("genpercept_mm.env", run_name="__main__")',
        python_path=[str(tmp_path)])
    line, = [row for row in done.stdout.split('\n')
             if row.startswith('torchvision')]
    assert 'BROKEN' in line and 'nms does not exist' in line
