import logging
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.multiprocessing import start_processes
from toys import Toy, plain_steps, runner, same, state

from genpercept_mm.engine.hooks.finite_guard_hook import (
    FiniteGuardHook,
    _anywhere,
    _culprits,
    last_step_failed,
)

ADAM = dict(type='AdamW', lr=.05, weight_decay=.1)


def nan_loss(model, loss):
    return loss * float('nan')


def nan_gradient(model, loss):
    """The root of zero: its value is 0, its slope infinite, times 0."""
    return loss + (model.linear.weight.sum() * 0).sqrt()


def spoiled(kind, wrong):
    """A model whose loss is of a kind in the iterations ``wrong``."""
    torch.manual_seed(0)
    return Toy(lambda model, loss, step: kind(model, loss)
               if step in wrong else loss)


def guarded(folder, model, iters=8, patience=3, **kwargs):
    kwargs.setdefault('optimizer', ADAM)
    return runner(folder, iters, model, [
        dict(type='genpercept_mm.FiniteGuardHook', patience=patience)],
        **kwargs)


@pytest.mark.parametrize('kind', [nan_loss, nan_gradient])
@pytest.mark.parametrize('wrong', [{1}, {3, 4}, {2, 3, 5, 6, 8}])
def test_a_step_that_is_not_finite_changes_nothing(
        tmp_path, caplog, kind, wrong):
    """Weights, moments and weight decay are those of torch without these
    steps; single failures never add up."""
    run = guarded(tmp_path, spoiled(kind, wrong))
    run.logger.addHandler(caplog.handler)
    run.train()
    reference = spoiled(kind, ()).linear
    plain_steps(reference, torch.optim.AdamW(
        reference.parameters(), lr=.05, weight_decay=.1),
        [step for step in range(1, 9) if step not in wrong])
    assert same(run.model.linear.state_dict(), reference.state_dict())
    first = min(wrong)
    assert f'Iteration {first}: ' in caplog.text
    part = 'decode.loss_mse' if kind is nan_loss else 'gradients'
    assert part in caplog.text
    names = [f'{2 * (first - 1) + k}.png' for k in (0, 1)]
    assert f'Images: {", ".join(names)}.' in caplog.text


@pytest.mark.parametrize('patience', [1, 3])
@pytest.mark.parametrize('kind, part', [
    (nan_loss, 'decode.loss_mse, loss is not finite'),
    (nan_gradient, 'gradients are not finite')])
def test_too_many_in_a_row_stop_the_training(tmp_path, kind, part, patience):
    model = spoiled(kind, range(3, 99))
    with pytest.raises(RuntimeError) as error:
        guarded(tmp_path, model, patience=patience,
                checkpoint=dict(max_keep_ckpts=1)).train()
    assert model.steps == 2 + patience
    message = str(error.value)
    assert f'at iteration {2 + patience}, {part}, {patience} times' in message
    number = 2 * (patience + 1)
    assert f'images are {number}.png, {number + 1}.png.' in message
    assert '--resume' in message
    # the last weights that were learnt are there, in spite of max_keep_ckpts
    assert same(state(tmp_path / 'iter_2.pth'), state(model))


def test_it_goes_on_from_there(tmp_path):
    """As if nothing had happened, once the cause is gone."""
    with pytest.raises(RuntimeError):
        guarded(tmp_path, spoiled(nan_loss, range(3, 99)), patience=1).train()
    run = guarded(tmp_path, spoiled(nan_loss, ()), 6, resume=True)
    run.train()
    whole = guarded(tmp_path / 'whole', spoiled(nan_loss, ()), 6)
    whole.train()
    assert same(state(run.model), state(whole.model))


def test_without_the_hook_all_weights_are_lost(tmp_path):
    """What the hook is for."""
    run = runner(tmp_path, 4, spoiled(nan_gradient, {2}),
                 checkpoint=dict(type='CheckpointHook'))
    run.train()
    assert run.model.linear.weight.isnan().all()


def test_accumulated_gradients_are_left_out_together(tmp_path):
    """Iterations 1 and 2 are one update, and so on."""
    run = guarded(tmp_path, spoiled(nan_gradient, {3}), iters=6,
                  optim_wrapper=dict(
                      optimizer=dict(type='SGD', lr=.1),
                      accumulative_counts=2))
    run.train()
    skipped = state(tmp_path / 'iter_4.pth')
    assert same(skipped, state(tmp_path / 'iter_2.pth'))
    assert not same(state(run.model), skipped)


def test_one_bad_part_of_each_update_stops_the_training(tmp_path):
    """Good iterations between updates teach nothing, so they do not count."""
    run = guarded(tmp_path, spoiled(nan_gradient, {1, 3, 5, 7}), iters=8,
                  optim_wrapper=dict(
                      optimizer=dict(type='SGD', lr=.1),
                      accumulative_counts=2))
    with pytest.raises(RuntimeError, match='at iteration 6, .* 3 times'):
        run.train()


@OPTIM_WRAPPERS.register_module(name='ToyScaled', force=True)
class Scaled(OptimWrapper):
    """mmengine's wrapper for float16, which needs an accelerator, with
    torch's scaler of the CPU."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.loss_scaler = torch.amp.GradScaler('cpu')

    def backward(self, loss, **kwargs):
        self.loss_scaler.scale(loss).backward()
        self._inner_count += 1

    def step(self, **kwargs):
        self.loss_scaler.step(self.optimizer)
        self.loss_scaler.update()


def overflowing(limit):
    """A gradient that float16 does not hold, above this scale of the loss."""

    def limited(gradient):
        return torch.where(gradient.abs() > limit, torch.inf, gradient)

    def spoil(model, loss, step):
        loss.register_hook(limited)
        return loss

    torch.manual_seed(0)
    return Toy(spoil)


def scaled(folder, model, iters, fused=False, **options):
    return runner(
        folder, iters, model,
        [dict(type='genpercept_mm.FiniteGuardHook', **options)],
        optim_wrapper=dict(type='ToyScaled', optimizer=dict(
            type='SGD', lr=.1, **(dict(fused=True) if fused else {}))))


@pytest.mark.parametrize('options, last', [
    (dict(), 25), (dict(fp16_patience=4), 4)])
def test_a_scaler_that_only_halves_is_stopped(tmp_path, options, last):
    model = overflowing(0)
    before = state(model)
    with pytest.raises(RuntimeError, match=(
            f'at iteration {last}, the last {last} updates in float16 .* loss '
            f'scale of {2.**(16 - last):g}; nothing was learnt.*bfloat16')):
        scaled(tmp_path, model, 40, **options).train()
    assert same(state(model), before)


@pytest.mark.parametrize('fused', [False, True])
def test_a_scaler_that_finds_its_scale_goes_on(tmp_path, caplog, fused):
    """It begins at 65536, and 16 holds: twelve halvings, then four steps. A
    fused optimizer is called in each of them."""
    run = scaled(tmp_path, overflowing(16), 16, fused, fp16_patience=13)
    run.logger.addHandler(caplog.handler)
    run.train()
    reference = overflowing(16).linear
    plain_steps(reference, torch.optim.SGD(reference.parameters(), lr=.1),
                range(13, 17))
    for ours, theirs in zip(run.model.parameters(), reference.parameters()):
        torch.testing.assert_close(ours, theirs)
    assert 'nothing was learnt' not in caplog.text


def test_a_training_without_any_update_is_told(tmp_path, caplog):
    """It ends before patience does."""
    run = scaled(tmp_path, overflowing(0), 3)
    run.logger.addHandler(caplog.handler)
    with caplog.at_level(logging.WARNING):
        run.train()
    assert 'no update of this training was finite' in caplog.text


@pytest.mark.parametrize('key', ['state_dict', None])
@pytest.mark.parametrize('value', ['nan', 'inf', '-inf'])
def test_a_checkpoint_that_is_not_finite_is_refused(key, value):
    good = dict(a=torch.ones(3), steps=torch.tensor(3), half=torch.ones(
        2, dtype=torch.bfloat16))
    hook, run = FiniteGuardHook(), SimpleNamespace(model=Toy())
    hook.after_load_checkpoint(run, {key: good} if key else good)
    bad = dict(good, b=torch.tensor([1, float(value)], dtype=torch.float16))
    with pytest.raises(RuntimeError, match='1 weights of the checkpoint are '
                       'not finite, such as b; .*older'):
        hook.after_load_checkpoint(run, {key: bad} if key else bad)


def test_a_mask_of_minus_infinity_is_no_weight(tmp_path):
    """As of causal attention; running statistics are looked at."""
    model = Toy()
    model.register_buffer('mask', torch.full((2, 2), -torch.inf).triu(1))
    runner(tmp_path, 2, model, [dict(type='genpercept_mm.FiniteGuardHook')]
           ).train()
    saved = torch.load(tmp_path / 'iter_2.pth', weights_only=True)
    hook, run = FiniteGuardHook(), SimpleNamespace(model=model)
    hook.after_load_checkpoint(run, saved)
    model.norm = torch.nn.BatchNorm1d(2)
    with pytest.raises(RuntimeError, match='such as module.norm.running_var'):
        hook.after_load_checkpoint(run, {
            'module.norm.running_var': torch.full((2, ), torch.inf)})


def sample(**fields):
    result = SegDataSample(metainfo=dict(img_path='a/b.png'))
    result.set_data({key: PixelData(data=value)
                     for key, value in fields.items()})
    return result


@pytest.mark.parametrize('value', ['nan', 'inf'])
@pytest.mark.parametrize('field', ['pred_depth_map', 'seg_logits'])
def test_a_prediction_that_is_not_finite_is_named(field, value):
    wrong = torch.ones(1, 4, 5)
    wrong[0, 2, 3] = float(value)
    classes = torch.full((1, 4, 5), 255)
    hook = FiniteGuardHook()
    # labels may have holes; class ids are always finite
    good = sample(gt_depth_map=wrong, pred_sem_seg=classes,
                  pred_depth_map=torch.ones(1, 4, 5))
    for look in (hook.after_val_iter, hook.after_test_iter):
        look(None, 0, None, [good])
        look(None, 0, None, None)
        with pytest.raises(ValueError, match=(
                rf'{field}.data of a/b.png is not finite')):
            look(None, 0, None, [good, sample(**{field: wrong})])


def test_who_asks_for_the_last_step(tmp_path):
    hook = FiniteGuardHook()
    plain = SimpleNamespace(hooks=[])
    watched = SimpleNamespace(hooks=[object(), hook])
    assert not last_step_failed(plain) and not last_step_failed(watched)
    hook.streak = 1
    assert last_step_failed(watched)


@pytest.mark.parametrize('name', ['patience', 'fp16_patience'])
def test_patience_is_positive(name):
    with pytest.raises(ValueError, match=f'{name} must be at least 1, got 0'):
        FiniteGuardHook(**{name: 0})


def _gather(rank, folder):
    dist.init_process_group('gloo', init_method=f'file://{folder}/store',
                            rank=rank, world_size=2)
    results = [_anywhere(rank == 1), _anywhere(False),
               _culprits(['loss'] * rank, f'{rank}.png'),
               _culprits([], f'{rank}.png')]
    torch.save(results, f'{folder}/{rank}.pt')
    dist.destroy_process_group()


def test_all_ranks_know_whose_loss_was_wrong(tmp_path):
    start_processes(_gather, (str(tmp_path), ), nprocs=2,
                    start_method='fork')
    for rank in range(2):
        assert torch.load(tmp_path / f'{rank}.pt') == [
            True, False, (['loss'], '1.png'), ([], '0.png, 1.png')]
