# Disparity on mini-Hypersim: the depth config with another codec
_base_ = ['genpercept_vae_mini-hypersim-depth.py']
codec = dict(type='AffineDepthCodec', space='disparity')
model = dict(decode_head=dict(codec=codec))
train_pipeline = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.LoadDepth'),
    dict(type='genpercept_mm.EncodeTarget', codec=codec),
    dict(type='genpercept_mm.DenseRandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='genpercept_mm.PackDenseInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
visualizer = dict(codec=codec)
