import os.path as osp
import pickle
from types import SimpleNamespace

import pytest
import torch
from conftest import MINI_CONFIG, assert_near, mini_options, run_python

from genpercept_mm.engine.hooks import DeployHook
from genpercept_mm.models import SDUNet


def test_folded_predictions_of_the_command(
        hypersim_root, trained_mini, tmp_path):
    logits = []
    for flags in ((), ('--deploy', )):
        out = str(tmp_path / f'{len(flags)}.pkl')
        run_python(
            'tools/test.py', MINI_CONFIG, osp.join(trained_mini, 'iter_2.pth'),
            '--work-dir', tmp_path / 'work', '--out', out, *flags,
            *mini_options(hypersim_root))
        with open(out, 'rb') as file:
            logits.append(torch.stack([result['seg_logits']['data']
                                       for result in pickle.load(file)]))
    assert_near(logits[1], logits[0])
    # it was folded: rounding differs
    assert not torch.equal(*logits)


def test_parts_of_a_model_are_folded():
    model = torch.nn.Sequential(SDUNet(arch='mini'))
    DeployHook().before_test(SimpleNamespace(model=model))
    assert model[0].deployed
    with pytest.raises(ValueError, match='Linear has no part'):
        DeployHook().before_test(SimpleNamespace(model=torch.nn.Linear(1, 1)))
