# Table 5, "real data": Taskonomy (90 % of the micro batches) and Cityscapes,
# both squeezed into 640 x 480, with the validation on Hypersim of the
# synthetic recipe. The paper's samples are not published: it has 50K images
# of Taskonomy, here taken evenly from what is on disk, and 40K of Cityscapes,
# more than the 22,973 left images with disparity outside val and test.
_base_ = ['hypersim_vkitti2_depth.py']
real_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='genpercept_mm.LoadDepth'),
    dict(type='genpercept_mm.EncodeTarget', codec={{_base_.codec}}),
    dict(type='genpercept_mm.DenseResize', scale=(640, 480)),
    dict(type='genpercept_mm.DenseRandomFlip', prob=0.5),
    dict(type='genpercept_mm.PackDenseInputs')
]
train_dataloader = dict(
    dataset=dict(datasets=[
        # valid up to 65 m
        dict(
            type='genpercept_mm.TaskonomyDataset',
            data_root='data/taskonomy',
            max_samples=50000,
            pipeline=real_pipeline),
        # valid up to 80 m
        dict(
            type='genpercept_mm.CityscapesDepthDataset',
            splits=['train', 'train_extra'],
            data_root='data/cityscapes',
            pipeline=real_pipeline)
    ]))
