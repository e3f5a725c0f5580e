# Portrait matting, trained on P3M-10k (faces blurred), evaluated on P3M-500-P,
# P3M-500-NP and AIM-500
_base_ = ['alpha.py']
train_dataloader = dict(
    dataset=dict(
        type='genpercept_mm.P3MDataset',
        subset='train',
        data_root='data/P3M-10k'))
val_dataloader = dict(
    dataset=dict(
        type='genpercept_mm.P3MDataset',
        subset='P3M-500-NP',
        data_root='data/P3M-10k'))
test_dataloader = dict(
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(
                type='genpercept_mm.P3MDataset',
                subset='P3M-500-P',
                data_root='data/P3M-10k',
                pipeline={{_base_.test_pipeline}},
                test_mode=True),
            dict(
                type='genpercept_mm.P3MDataset',
                subset='P3M-500-NP',
                data_root='data/P3M-10k',
                pipeline={{_base_.test_pipeline}},
                test_mode=True),
            dict(
                type='genpercept_mm.AIM500Dataset',
                data_root='data/AIM-500',
                pipeline={{_base_.test_pipeline}},
                test_mode=True)
        ]))
val_evaluator = dict(type='genpercept_mm.MattingMetric')
test_evaluator = [
    dict(type='genpercept_mm.MattingMetric', dataset_name='P3M-500-P'),
    dict(type='genpercept_mm.MattingMetric', dataset_name='P3M-500-NP'),
    dict(type='genpercept_mm.MattingMetric', dataset_name='aim500')
]
