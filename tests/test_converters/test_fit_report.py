import pytest
import torch

from genpercept_mm.converters.fit_report import FitReport


def test_all_problems_are_named_at_once():
    report = FitReport()
    report.compare('unet', dict(a=torch.zeros(2), b=torch.zeros(1)),
                   dict(a=(2, ), c=(3, )))
    report.compare('vae', dict(a=torch.zeros(2)), dict(a=(2, 1)))
    with pytest.raises(ValueError) as info:
        report.close('mini')
    assert str(info.value).splitlines() == [
        '3 tensors do not fit the architecture mini:',
        '  unet: c is missing', '  unet: b has no place',
        '  vae: a is (2,), must be (2, 1)']
    with pytest.raises(ValueError, match='architecture of config.json:'):
        report.close(dict(unet={}, vae={}))


def test_what_fits_is_not_reported():
    report = FitReport()
    report.compare('unet', dict(a=torch.zeros(2)), dict(a=(2, )))
    report.close('mini')
    assert report.problems == []
