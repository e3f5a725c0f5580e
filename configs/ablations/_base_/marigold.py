# Stochastic diffusion: image latent and noisy label side by side, 10 steps,
# no ensemble
_base_ = ['baseline.py']
model = dict(
    type='genpercept_mm.LatentDiffusionEstimator',
    protocol=dict(type='marigold'),
    backbone=dict(in_channels=8))
