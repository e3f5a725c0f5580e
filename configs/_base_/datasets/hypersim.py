# Hypersim, 40 NYU40 classes. 768 x 768 and flips only, as for all tasks of
# the paper's section 4; its segmentation recipe is not published in detail.
dataset_type = 'genpercept_mm.HypersimDataset'
data_root = 'data/hypersim'
image_size = (768, 768)
train_pipeline = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.LoadHypersimSemantic'),
    dict(type='Resize', scale=image_size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
test_pipeline = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='Resize', scale=image_size, keep_ratio=False),
    # after Resize: the label keeps the original size
    dict(type='genpercept_mm.LoadHypersimSemantic'),
    dict(type='PackSegInputs')
]
tta_pipeline = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(
        type='TestTimeAug',
        transforms=[[dict(type='Resize', scale=image_size, keep_ratio=False)],
                    [
                        dict(type='RandomFlip', prob=0.),
                        dict(type='RandomFlip', prob=1.)
                    ], [dict(type='genpercept_mm.LoadHypersimSemantic')],
                    [dict(type='PackSegInputs')]])
]
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        split='train',
        data_root=data_root,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        split='val',
        data_root=data_root,
        pipeline=test_pipeline,
        test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = dict(type='genpercept_mm.SegIoUMetric', iou_metrics=['mIoU'])
