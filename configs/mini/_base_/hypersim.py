# mini-Hypersim: about 100 rendered frames of 128 x 96, see
# tools/dataset_converters/miniworld.py rooms
_base_ = ['dense.py', '../../_base_/schedules/mini_dense.py']
train_dataloader = dict(
    dataset=dict(
        type='genpercept_mm.HypersimDenseDataset',
        split='train',
        data_root='data/mini_hypersim'))
val_dataloader = dict(
    dataset=dict(
        type='genpercept_mm.HypersimDenseDataset',
        split='val',
        data_root='data/mini_hypersim'))
test_dataloader = val_dataloader
