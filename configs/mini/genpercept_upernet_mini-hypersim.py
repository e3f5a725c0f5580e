# The whole path at a size for a laptop: mini-Hypersim (about 100 rendered
# frames of 128 x 96, see tools/dataset_converters/miniworld.py rooms).
_base_ = [
    '../_base_/models/genpercept_upernet_mini.py',
    '../_base_/datasets/hypersim.py', '../_base_/schedules/mini.py',
    '../_base_/default_runtime.py'
]
data_root = 'data/mini_hypersim'
train_pipeline = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.LoadHypersimSemantic'),
    dict(
        type='RandomResize',
        scale=(128, 96),
        ratio_range=(1.0, 1.5),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=(96, 128), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs')
]
test_pipeline = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.LoadHypersimSemantic'),
    dict(
        type='genpercept_mm.DenseResize',
        long_edge=128,
        only_photographs=True),
    dict(type='PackSegInputs')
]
tta_pipeline = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(
        type='TestTimeAug',
        transforms=[[
            dict(type='RandomFlip', prob=0.),
            dict(type='RandomFlip', prob=1.)
        ], [dict(type='genpercept_mm.LoadHypersimSemantic')],
                    [dict(type='PackSegInputs')]])
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
