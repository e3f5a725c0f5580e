# Hypersim's 40 classes as colours, at 768 x 768. Predictions are decoded to
# the class of the nearest colour, so stock metrics of classes apply.
_base_ = ['hypersim.py']
codec = dict(type='ColormapCodec', palette='nyu40')
train_pipeline = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.LoadHypersimSemantic'),
    dict(type='genpercept_mm.EncodeTarget', codec=codec),
    dict(type='genpercept_mm.DenseResize', scale=(768, 768)),
    dict(type='genpercept_mm.DenseRandomFlip', prob=0.5),
    dict(type='genpercept_mm.PackDenseInputs')
]
test_pipeline = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.DenseResize', scale=(768, 768)),
    # after DenseResize: the label keeps the original size
    dict(type='genpercept_mm.LoadHypersimSemantic'),
    dict(type='genpercept_mm.PackDenseInputs')
]
# tools/test.py --tta sets model.test_cfg.flip
tta_pipeline = None
train_dataloader = dict(num_workers=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
