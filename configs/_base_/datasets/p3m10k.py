# Portrait matting: trained on P3M-10k (faces blurred) at 768 x 768, evaluated
# at the original size on P3M-500-P, P3M-500-NP and AIM-500. The paper does
# not say how test images are resized; here their longer edge becomes 768.
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
        type='genpercept_mm.P3MDataset',
        subset='train',
        data_root='data/P3M-10k',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='genpercept_mm.P3MDataset',
        subset='P3M-500-NP',
        data_root='data/P3M-10k',
        pipeline=test_pipeline,
        test_mode=True))
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(
                type='genpercept_mm.P3MDataset',
                subset='P3M-500-P',
                data_root='data/P3M-10k',
                pipeline=test_pipeline,
                test_mode=True),
            dict(
                type='genpercept_mm.P3MDataset',
                subset='P3M-500-NP',
                data_root='data/P3M-10k',
                pipeline=test_pipeline,
                test_mode=True),
            dict(
                type='genpercept_mm.AIM500Dataset',
                data_root='data/AIM-500',
                pipeline=test_pipeline,
                test_mode=True)
        ]))
val_evaluator = dict(type='genpercept_mm.MattingMetric')
test_evaluator = [
    dict(type='genpercept_mm.MattingMetric', dataset_name='P3M-500-P'),
    dict(type='genpercept_mm.MattingMetric', dataset_name='P3M-500-NP'),
    dict(type='genpercept_mm.MattingMetric', dataset_name='aim500')
]
