# hypersim_vkitti2_depth.py for disparity up to scale and shift, with Hypersim
# at 768 x 768
_base_ = ['hypersim_vkitti2_depth.py']
codec = dict(type='AffineDepthCodec', space='disparity')
hypersim_pipeline = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.LoadDepth'),
    dict(type='genpercept_mm.EncodeTarget', codec=codec),
    dict(type='genpercept_mm.DenseResize', scale=(768, 768)),
    dict(type='genpercept_mm.DenseRandomFlip', prob=0.5),
    dict(type='genpercept_mm.PackDenseInputs')
]
vkitti_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='genpercept_mm.LoadDepth'),
    dict(type='genpercept_mm.KITTIBenchmarkCrop'),
    dict(type='genpercept_mm.EncodeTarget', codec=codec),
    dict(type='genpercept_mm.DenseRandomFlip', prob=0.5),
    dict(type='genpercept_mm.PackDenseInputs')
]
val_pipeline = [
    dict(type='genpercept_mm.LoadHypersimImage'),
    dict(type='genpercept_mm.DenseResize', scale=(768, 768)),
    # after DenseResize: the label keeps the original size
    dict(type='genpercept_mm.LoadDepth'),
    dict(type='genpercept_mm.PackDenseInputs')
]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(datasets=[
        dict(
            type='genpercept_mm.HypersimDenseDataset',
            split='train',
            data_root='data/hypersim',
            pipeline=hypersim_pipeline),
        dict(
            type='genpercept_mm.VirtualKITTI2Dataset',
            data_root='data/virtual_kitti_2',
            pipeline=vkitti_pipeline)
    ]))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
