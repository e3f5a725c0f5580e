import types

import torch

from genpercept_mm.compat.ops import common


def test_torchvision_without_a_kernel_is_not_used(monkeypatch):
    monkeypatch.setattr(common, 'torchvision_problem', lambda: None)
    monkeypatch.setattr(torch.ops, 'torchvision',
                        types.SimpleNamespace(), raising=False)
    assert common.torchvision_ops.__wrapped__('cpu') is None
