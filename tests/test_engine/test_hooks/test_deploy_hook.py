import os.path as osp
import pickle
from types import SimpleNamespace

import pytest
import torch
from conftest import MINI_CONFIG, assert_near, mini_options, run_python
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

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
    DeployHook().before_test(SimpleNamespace(model=model, hooks=[]))
    assert model[0].deployed
    with pytest.raises(ValueError, match='Linear has no part'):
        DeployHook().before_test(SimpleNamespace(
            model=torch.nn.Linear(1, 1), hooks=[]))


def test_averaged_weights_are_folded_with_the_model(tmp_path):
    """mmengine's hook would exchange folded weights for others."""
    class Toy(BaseModel):

        def __init__(self):
            super().__init__()
            self.backbone = SDUNet(arch='mini')

        def forward(self, inputs, mode):
            value = self.backbone(inputs)[0].mean()
            return dict(loss=value) if mode == 'loss' else [
                BaseDataElement(value=value)]

    class Values(BaseMetric):

        def process(self, data_batch, data_samples):
            self.results += [sample['value'] for sample in data_samples]

        def compute_metrics(self, results):
            return dict(value=float(results[0]))

    torch.manual_seed(0)
    toy = Toy()
    torch.save(dict(state_dict=toy.state_dict()), tmp_path / 'x.pth')
    data = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        expected = float(toy.eval()(data, 'predict')[0].value)
    hooks = [dict(type='EMAHook'), dict(type='genpercept_mm.DeployHook')]
    runner = Runner(
        Toy(), str(tmp_path), load_from=str(tmp_path / 'x.pth'),
        test_dataloader=dict(
            dataset=[dict(inputs=data[0])], batch_size=1,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate')),
        test_evaluator=[Values()], test_cfg=dict(), custom_hooks=hooks,
        experiment_name='averaged')
    assert runner.test()['value'] == pytest.approx(
        expected, rel=1e-3, abs=1e-5)
    assert runner.model.backbone.deployed
