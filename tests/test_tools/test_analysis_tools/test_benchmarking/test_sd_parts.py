import pytest
import torch
from benchmarking.sd_parts import build_model, time_loader
from mmengine.config import Config

COLORMAP = 'configs/mini/genpercept_vae_mini-hypersim-seg.py'


@pytest.mark.parametrize('options', [
    dict(out_indices=(1, 2)), dict(feature_type='pre_upsample'),
    dict(lora_rank=4)])
def test_what_plain_diffusers_does_not_compute_is_refused(options):
    cfg = Config.fromfile(COLORMAP)
    cfg.merge_from_dict(dict(model=dict(backbone=options)))
    with pytest.raises(ValueError, match=r'set out_indices=\(0, 1, 2, 3\) or '
                       r'\(4,\)'):
        build_model(cfg, 'cpu')


def test_the_speed_of_a_loader_is_that_of_the_timed_batches(monkeypatch):
    import time
    taken = []

    def batches():
        for size in (1, 1, 4, 6, 50):
            taken.append(size)
            yield dict(inputs=torch.zeros(size, 3, 1, 1))

    # a second for each batch
    monkeypatch.setattr(time, 'perf_counter', lambda: float(len(taken)))
    assert time_loader(batches(), repeats=2, warmup=2) == (4 + 6) / 2
    assert taken == [1, 1, 4, 6]
