# Soft mattes on rendered photographs
_base_ = ['_base_/objects.py']
dataset = dict(
    type='genpercept_mm.P3MDataset', data_root='data/mini_objects/P3M-10k')
train_dataloader = dict(dataset=dict(subset='train', **dataset))
val_dataloader = dict(dataset=dict(subset='P3M-500-NP', **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(type='genpercept_mm.MattingMetric')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='mad', rule='less'))
