import os

import cv2
import pytest
from reproduction.comparison import compare
from reproduction.plan import Row
from reproduction.sweep_plot import draw_sweep, plot_sweep

METRICS = [('kitti', 'abs_rel'), ('kitti', 'delta1')]


def row(name, x, *paper, group=None):
    return Row('9', name, name, 'x.py', ('9', name), group, x, paper)


def entries():
    rows = [row('baseline', None, .1, .9), row('r16', 16, .2, .8, group='A'),
            row('r4', 4, .3, .7, group='A'), row('r64', 64, .4, .7,
                                                 group='A')]
    seeds = [.2, .3], [.4, .5, .6]
    return compare(rows, METRICS, {
        f'9/{name}': [dict(abs_rel=value, delta1=.5) for value in values]
        for name, values in zip(('baseline', 'r16'), seeds)})


def lines(panel):
    """{label: (x, y)} of error-bar lines, and {label: y} of others."""
    curves = {bar.get_label(): [list(map(float, values)) for values
                                in bar[0].get_data()]
              for bar in panel.containers}
    flat = {line.get_label(): float(line.get_ydata()[0])
            for line in panel.get_lines()
            if not line.get_label().startswith('_')}
    return curves, flat


def test_points_are_means_in_order_of_the_axis():
    ours, paper = draw_sweep('title', 'rank', entries()).axes
    curves, flat = lines(paper)
    assert curves == {'A': [[4, 16, 64], [.3, .2, .4]]}
    assert flat == {'baseline': .1}
    curves, flat = lines(ours)
    assert curves == {'A': [[16], [.5]]}
    assert flat == pytest.approx(dict(baseline=.25))
    (_, _, (bars, )), = ours.containers
    assert bars.get_segments()[0][:, 1] == pytest.approx([.4, .6])
    assert ours.get_xscale() == paper.get_xscale() == 'log'
    # one colour means one thing on both sides
    assert [line.get_color() for line in ours.get_lines()[:1]] == [
        line.get_color() for line in paper.get_lines()[:1]]


def test_a_picture_is_written_whole(tmp_path):
    path = str(tmp_path / 'table.png')
    plot_sweep(path, 'title', 'rank', entries())
    assert cv2.imread(path).shape == (600, 1320, 3)
    assert os.listdir(tmp_path) == ['table.png']
