# Surface normals on Hypersim at 768 x 768, evaluated as DSINE does.
_base_ = ['dense_loaders.py']
codec = dict(type='NormalCodec')
train_pipeline = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.LoadNormal'),
    dict(type='genpercept_mm.EncodeTarget', codec=codec),
    dict(type='genpercept_mm.DenseResize', scale=(768, 768)),
    dict(type='genpercept_mm.DenseRandomFlip', prob=0.5),
    dict(type='genpercept_mm.PackDenseInputs')
]
val_pipeline = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.DenseResize', scale=(768, 768)),
    # after DenseResize: the label keeps the original size
    dict(type='genpercept_mm.LoadNormal'),
    dict(type='genpercept_mm.PackDenseInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    # benchmarks run at their own size
    dict(
        type='genpercept_mm.DenseResize',
        long_edge=768,
        only_photographs=True),
    dict(type='genpercept_mm.LoadNormal'),
    dict(type='genpercept_mm.PackDenseInputs')
]
train_dataloader = dict(
    dataset=dict(
        type='genpercept_mm.HypersimDenseDataset',
        split='train',
        labels='normal',
        data_root='data/hypersim',
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type='genpercept_mm.HypersimDenseDataset',
        split='val',
        labels='normal',
        data_root='data/hypersim',
        # evenly spread over the scenes
        max_samples=100,
        pipeline=val_pipeline))
test_dataloader = dict(
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(
                type='genpercept_mm.DSINENormalsDataset',
                subset='nyuv2',
                data_root='data/dsine_eval',
                pipeline=test_pipeline,
                test_mode=True),
            dict(
                type='genpercept_mm.DSINENormalsDataset',
                subset='scannet',
                data_root='data/dsine_eval',
                pipeline=test_pipeline,
                test_mode=True),
            dict(
                type='genpercept_mm.DSINENormalsDataset',
                subset='sintel',
                data_root='data/dsine_eval',
                pipeline=test_pipeline,
                test_mode=True)
        ]))
val_evaluator = dict(type='genpercept_mm.SurfaceNormalMetric')
test_evaluator = [
    dict(
        type='genpercept_mm.SurfaceNormalMetric', dataset_name='dsine_nyuv2'),
    dict(
        type='genpercept_mm.SurfaceNormalMetric',
        dataset_name='dsine_scannet'),
    dict(
        type='genpercept_mm.SurfaceNormalMetric', dataset_name='dsine_sintel')
]
