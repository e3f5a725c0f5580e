_base_ = ['../_base_/baseline.py']
train_dataloader = dict(batch_sampler=dict(fraction=1 / 16))
