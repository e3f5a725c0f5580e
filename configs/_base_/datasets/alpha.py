# Masks and mattes: trained at 768 x 768, evaluated at the original size. The
# paper does not say how test images are resized; here their longer edge
# becomes 768, which is the default of the official pipeline.
_base_ = ['dense_loaders.py']
codec = dict(type='MatteCodec')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='genpercept_mm.LoadAlpha'),
    dict(type='genpercept_mm.EncodeTarget', codec=codec),
    dict(type='genpercept_mm.DenseResize', scale=(768, 768)),
    dict(type='genpercept_mm.DenseRandomFlip', prob=0.5),
    dict(type='genpercept_mm.PackDenseInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='genpercept_mm.DenseResize', long_edge=768),
    # after DenseResize: the label keeps the original size
    dict(type='genpercept_mm.LoadAlpha'),
    dict(type='genpercept_mm.PackDenseInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
