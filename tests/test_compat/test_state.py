import io
import pathlib
from collections import defaultdict, deque

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import AmpOptimWrapper, OneCycleLR, OptimWrapper
from mmengine.runner.checkpoint import save_checkpoint


def test_scheduler_state_is_plain_and_comes_back():
    """OneCycleLR stores its annealing function in stock mmengine."""
    def build():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
        return optimizer, OneCycleLR(optimizer, eta_max=1., total_steps=10)

    optimizer, scheduler = build()
    for _ in range(4):
        optimizer.step()
        scheduler.step()
    buffer = io.BytesIO()
    torch.save(scheduler.state_dict(), buffer)
    buffer.seek(0)
    other_optimizer, other = build()
    other.load_state_dict(torch.load(buffer, weights_only=True))
    other_optimizer.load_state_dict(optimizer.state_dict())
    for _ in range(4):
        for o, s in ((optimizer, scheduler), (other_optimizer, other)):
            o.step()
            s.step()
    assert optimizer.param_groups[0]['lr'] == pytest.approx(
        other_optimizer.param_groups[0]['lr'])


def test_our_history_is_plain_and_comes_back(tmp_path):
    hub = MessageHub.get_instance('plain')
    for value in (3.0, 1.0, 2.0):
        hub.update_scalar('train/loss', value, 2)
    buffer = io.BytesIO()
    torch.save(hub.state_dict(), buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    other = MessageHub.get_instance('plain again')
    other.load_state_dict(state)
    for ours, theirs in zip(other.get_scalar('train/loss').data,
                            hub.get_scalar('train/loss').data):
        assert ours.tolist() == theirs.tolist()
    other.update_scalar('train/loss', 5.0)
    assert other.get_scalar('train/loss').max() == 5


@pytest.mark.parametrize('before', ['off', 'on'])
def test_fp16_goes_on_from_bf16(before):
    """torch's scaler refuses the empty state of one that was off."""
    def build(enabled):
        layer = torch.nn.Linear(2, 1)
        # mmengine's constructor wants a GPU
        wrapper = AmpOptimWrapper.__new__(AmpOptimWrapper)
        OptimWrapper.__init__(
            wrapper, torch.optim.Adam(layer.parameters(), lr=.5))
        wrapper.loss_scaler = torch.amp.GradScaler(
            'cpu', init_scale=8. if enabled else 2., enabled=enabled)
        layer(torch.ones(1, 2)).sum().backward()
        return wrapper

    first = build(before == 'on')
    first.optimizer.step()
    state = first.state_dict()
    second = build(True)
    second.loss_scaler = torch.amp.GradScaler('cpu', init_scale=4.)
    second.load_state_dict(state)
    # a scale that was there is taken over
    assert second.loss_scaler.get_scale() == (8. if before == 'on' else 4.)
    assert second.optimizer.state_dict()['state'][0]['step'] == 1


def test_what_a_data_set_says_of_itself_loads_again(tmp_path):
    """mmengine keeps its metainfo; a config's dicts are ConfigDicts."""
    hub = MessageHub.get_instance('metainfo')
    given = Config(dict(label_map={255: 1}, source=dict(name='mine'))
                   )._cfg_dict
    metainfo = dict(
        given, classes=('a', 'b'), names=np.array(['x', 'y']),
        root=pathlib.PurePosixPath('some/where'), more=deque([1, 2]),
        colors=np.arange(3), kind=defaultdict(int, a=1), n=range(2))
    hub.update_info('dataset_meta', metainfo)
    path = str(tmp_path / 'x.pth')
    save_checkpoint(dict(
        meta=dict(dataset_meta=metainfo, other=torch.float16),
        message_hub=hub.state_dict()), path)
    saved = torch.load(path, weights_only=True)
    other = MessageHub.get_instance('metainfo again')
    other.load_state_dict(saved['message_hub'])
    for found in (saved['meta']['dataset_meta'],
                  other.get_info('dataset_meta')):
        assert found['label_map'] == {255: 1}
        assert found['source'] == dict(name='mine')
        assert found['classes'] == ('a', 'b')
        assert found['names'] == ['x', 'y'] and found['kind'] == dict(a=1)
        assert found['root'] == 'some/where' and found['more'] == [1, 2]
        assert found['colors'] == [0, 1, 2] and found['n'] == [0, 1]
    assert saved['meta']['other'] == 'torch.float16'


@pytest.mark.parametrize('update_buffers', [False, True])
def test_averages_follow_a_prompt_of_another_length(update_buffers):
    """EMAHook copies the model before the weights are initialized."""
    model = torch.nn.BatchNorm1d(3)
    model.register_buffer('prompt', torch.zeros(1, 2, 4))
    average = ExponentialMovingAverage(
        model, momentum=.5, update_buffers=update_buffers)
    model.prompt = torch.ones(1, 7, 4)
    for scale in (2., 4.):
        model.weight.data.fill_(scale)
        model.running_mean.fill_(scale)
        average.update_parameters(model)
    assert torch.equal(average.module.prompt, torch.ones(1, 7, 4))
    # of 2 and 4
    assert (average.module.weight == 3).all()
    assert (average.module.running_mean == (3 if update_buffers else 4)).all()
