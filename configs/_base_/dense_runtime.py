# default_runtime.py for dense quantities
_base_ = ['default_runtime.py']
visualizer = dict(type='genpercept_mm.DenseLocalVisualizer')
# tools/test.py --tta sets model.test_cfg.flip
tta_model = None
# ranks of a distributed training draw their own timesteps and noise
randomness = dict(diff_rank_seed=True)
