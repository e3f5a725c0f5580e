import os.path as osp
import pickle
from types import SimpleNamespace

import pytest
import torch
from conftest import MINI_CONFIG, mini_options, run_python

from genpercept_mm.engine.hooks import AutocastHook


class Model(torch.nn.Linear):

    def __init__(self):
        super().__init__(2, 2)

    def val_step(self, data):
        """A validation step."""
        return self(data)

    test_step = val_step


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_only_validation_and_testing_of_a_run(dtype):
    model, data = Model(), torch.rand(1, 2)
    runner, hook = SimpleNamespace(model=model), AutocastHook(dtype)
    for _ in range(2):  # a test after a training
        hook.before_run(runner)
        hook.before_run(runner)
        assert model.val_step(data).dtype == getattr(torch, dtype)
        assert model.test_step(data).dtype == getattr(torch, dtype)
        assert model.val_step.__doc__ == 'A validation step.'
        assert model(data).dtype == torch.float32
        hook.after_run(runner)
        assert model.val_step(data).dtype == torch.float32
        assert 'test_step' not in vars(model)


def test_other_types_are_refused():
    with pytest.raises(ValueError, match="AutocastHook: dtype must be one of"):
        AutocastHook('float32')


@pytest.mark.nightly
def test_predictions_of_the_command(hypersim_root, trained_mini, tmp_path):
    logits = []
    for flags in ((), ('--amp', 'bf16')):
        out = str(tmp_path / f'{len(flags)}.pkl')
        run_python(
            'tools/test.py', MINI_CONFIG, osp.join(trained_mini, 'iter_2.pth'),
            '--work-dir', tmp_path / 'work', '--out', out,
            *mini_options(hypersim_root), *flags)
        with open(out, 'rb') as file:
            logits.append(torch.stack([
                result['seg_logits']['data'].float()
                for result in pickle.load(file)]))
    error = (logits[1] - logits[0]).abs().mean() / logits[0].std()
    assert torch.finfo(torch.bfloat16).eps / 100 < error < .05
