# Dichotomous segmentation, trained on DIS-TR
_base_ = ['alpha.py']
train_dataloader = dict(
    dataset=dict(
        type='genpercept_mm.DIS5KDataset',
        subset='DIS-TR',
        data_root='data/DIS5K'))
val_dataloader = dict(
    dataset=dict(
        type='genpercept_mm.DIS5KDataset',
        subset='DIS-VD',
        data_root='data/DIS5K'))
test_dataloader = dict(
    dataset=dict(
        type='genpercept_mm.DIS5KDataset',
        subset=['DIS-VD', 'DIS-TE1', 'DIS-TE2', 'DIS-TE3', 'DIS-TE4'],
        data_root='data/DIS5K',
        pipeline={{_base_.test_pipeline}},
        test_mode=True))
# HCE traces contours, which takes seconds per image: only in tests
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
