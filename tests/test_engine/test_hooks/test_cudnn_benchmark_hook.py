import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from genpercept_mm.engine.hooks import CudnnBenchmarkHook


class Toy(BaseModel):
    """Notes the flag at each call."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen = []

    def forward(self, inputs, mode):
        self.seen.append((mode, torch.backends.cudnn.benchmark))
        if mode == 'loss':
            return dict(loss=self.layer(inputs).mean())
        return [BaseDataElement()]


class Count(BaseMetric):

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return dict(count=len(results))


@pytest.mark.parametrize('wanted', [True, False])
def test_training_alone_has_it(tmp_path, monkeypatch, wanted):
    monkeypatch.setattr(torch.backends.cudnn, 'benchmark', False)
    model = Toy()
    loader = dict(
        dataset=[dict(inputs=torch.ones(1))] * 2, batch_size=2,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'))
    runner = Runner(
        model, str(tmp_path), train_dataloader=loader, val_dataloader=loader,
        test_dataloader=loader, val_evaluator=[Count()],
        test_evaluator=[Count()], val_cfg=dict(), test_cfg=dict(),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=.1)),
        custom_hooks=[dict(type='genpercept_mm.CudnnBenchmarkHook')],
        env_cfg=dict(cudnn_benchmark=wanted), experiment_name=str(wanted))
    assert any(isinstance(hook, CudnnBenchmarkHook) for hook in runner.hooks)
    runner.train()
    runner.test()
    modes = [mode for mode, _ in model.seen]
    assert modes == ['loss', 'predict'] * 2 + ['predict']
    assert all(flag == (wanted and mode == 'loss')
               for mode, flag in model.seen)
    assert torch.backends.cudnn.benchmark == wanted
