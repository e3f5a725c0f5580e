# Table 8, last row: trained at 768, evaluated at 1024. For tools/test.py with
# a checkpoint of genpercept_vae_dis5k-dis.py.
_base_ = ['genpercept_vae_dis5k-dis.py']
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='genpercept_mm.DenseResize', long_edge=1024),
    dict(type='genpercept_mm.LoadAlpha'),
    dict(type='genpercept_mm.PackDenseInputs')
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
