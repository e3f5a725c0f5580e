# Deterministic diffusion: the image latent is the noise, 10 steps. The paper
# calls it DMP, but trains the whole U-Net, where DMP trains LoRA.
_base_ = ['baseline.py']
model = dict(
    type='genpercept_mm.LatentDiffusionEstimator',
    protocol=dict(type='dmp'))
