# Object masks on rendered photographs
_base_ = ['_base_/objects.py']
model = dict(
    decode_head=dict(
        # a small network in short training blurs what it is unsure of; L1
        # keeps the background empty
        loss_decode=[
            dict(
                type='genpercept_mm.MaskedMSELoss',
                loss_weight=1.0,
                reduction='image'),
            dict(
                type='genpercept_mm.MaskedL1Loss',
                loss_weight=1.0,
                reduction='image')
        ]))
dataset = dict(
    type='genpercept_mm.DIS5KDataset', data_root='data/mini_objects/DIS5K')
train_dataloader = dict(dataset=dict(subset='DIS-TR', **dataset))
val_dataloader = dict(dataset=dict(subset='DIS-VD', **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(type='genpercept_mm.DISMetric')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='mae', rule='less'))
