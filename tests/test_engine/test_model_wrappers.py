import torch
from mmengine.model import BaseTTAModel
from mmengine.registry import MODEL_WRAPPERS

from genpercept_mm.engine.model_wrappers import unwrap_model


class Augmented(BaseTTAModel):

    def __init__(self, module):
        torch.nn.Module.__init__(self)
        self.module = module

    def merge_preds(self, data_samples_list):
        return data_samples_list


class Distributed(torch.nn.Module):

    def __init__(self, module):
        super().__init__()
        self.module = module


def test_looks_through_all_wrappers(monkeypatch):
    monkeypatch.setitem(
        MODEL_WRAPPERS._module_dict, 'Distributed', Distributed)
    model = torch.nn.Linear(1, 1)
    assert unwrap_model(model) is model
    assert unwrap_model(Distributed(Augmented(model))) is model


def test_a_module_that_is_no_wrapper_stays():
    model = Distributed(torch.nn.Linear(1, 1))
    assert unwrap_model(model) is model
