# Dichotomous segmentation: trained on DIS-TR at 768 x 768, evaluated at the
# original size. The paper does not say how test images are resized; here
# their longer edge becomes 768, as the official pipeline does by default.
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
train_dataloader = dict(
    batch_size=4,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='genpercept_mm.DIS5KDataset',
        subset='DIS-TR',
        data_root='data/DIS5K',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='genpercept_mm.DIS5KDataset',
        subset='DIS-VD',
        data_root='data/DIS5K',
        pipeline=test_pipeline,
        test_mode=True))
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='genpercept_mm.DIS5KDataset',
        subset=['DIS-VD', 'DIS-TE1', 'DIS-TE2', 'DIS-TE3', 'DIS-TE4'],
        data_root='data/DIS5K',
        pipeline=test_pipeline,
        test_mode=True))
# HCE traces contours, seconds for each image: only in tests
val_evaluator = dict(type='genpercept_mm.DISMetric', with_hce=False)
test_evaluator = [
    dict(type='genpercept_mm.DISMetric', dataset_name='DIS-VD'),
    dict(type='genpercept_mm.DISMetric', dataset_name='DIS-TE1'),
    dict(type='genpercept_mm.DISMetric', dataset_name='DIS-TE2'),
    dict(type='genpercept_mm.DISMetric', dataset_name='DIS-TE3'),
    dict(type='genpercept_mm.DISMetric', dataset_name='DIS-TE4'),
    # all 2000 images; "overall" of tables 8 and 14 is the mean of the four
    # above, which differs in max_f
    dict(
        type='genpercept_mm.DISMetric',
        dataset_name=['DIS-TE1', 'DIS-TE2', 'DIS-TE3', 'DIS-TE4'],
        prefix='DIS-TE')
]
