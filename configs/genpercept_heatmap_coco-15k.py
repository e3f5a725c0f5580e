# "15K training samples": the first 15,000 of the 150,000 persons, as often
# as all of them would be seen
_base_ = ['genpercept_heatmap_coco.py']
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='RepeatDataset',
        times=10,
        dataset=dict(
            type='genpercept_mm.CocoPoseDataset',
            indices=15000,
            data_root='data/coco/',
            data_mode='topdown',
            ann_file='annotations/person_keypoints_train2017.json',
            data_prefix=dict(img='train2017/'),
            pipeline={{_base_.train_pipeline}})))
