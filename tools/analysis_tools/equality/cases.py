"""The trainings that are compared, and how their steps are divided."""
from collections import namedtuple

#: A training: a mini config, options that change it, and the images of a step.
Case = namedtuple('Case', 'config options step', defaults=[{}, 8])
#: A run: processes, images that run at once in each, workers of a loader, and
#: whether it goes on with a run of one process that was killed.
Split = namedtuple('Split', 'processes micro_batch workers resumed',
                   defaults=[0, False])

#: All cases run with these; the first is the reference for the others.
SPLITS = (Split(1, 8), Split(2, 4), Split(4, 2), Split(1, 2))
#: The cases in `RESUMED` also run with these.
RESUMED_SPLITS = (Split(1, 8, workers=2), Split(1, 8, resumed=True),
                  Split(2, 4, resumed=True))
RESUMED = ('upernet', 'depth', 'pose', 'marigold')

#: Exit status of a process that ends itself, as if it had been killed
KILLED = 9

_DENSE = 'configs/mini/genpercept_{}.py'
_DEPTH = _DENSE.format('vae_mini-hypersim-depth')
_MARIGOLD = {
    'model.type': 'genpercept_mm.LatentDiffusionEstimator',
    'model.protocol': dict(type='marigold'),
    'model.backbone.in_channels': 8,
    'model.backbone.train_timestep': 'random',
    'model.decode_head.loss_decode': None,
    'model.decode_head.loss_latent': dict(
        type='genpercept_mm.MaskedMSELoss', reduction='image'),
}

CASES = {
    'upernet': Case(_DENSE.format('upernet_mini-hypersim_group-norm')),
    'depth': Case(_DEPTH),
    'disparity': Case(_DENSE.format('vae_mini-hypersim-disparity')),
    'disparity-dpt': Case(_DENSE.format('dpt_mini-hypersim-disparity')),
    'normal': Case(_DENSE.format('vae_mini-hypersim-normal')),
    'colormap': Case(_DENSE.format('vae_mini-hypersim-seg')),
    'dis': Case(_DENSE.format('vae_mini-dis5k-dis')),
    'matting': Case(_DENSE.format('vae_mini-p3m10k-matting')),
    # without batch norm, as in genpercept_heatmap_coco_simple.py
    'pose': Case(_DENSE.format('heatmap_mini-people'), {
        'model.head.deconv_out_channels': [],
        'model.head.deconv_kernel_sizes': [],
        'model.neck': dict(
            type='FeatureMapProcessor', scale_factor=2.0, apply_relu=True),
        'model.head.final_layer': dict(kernel_size=3, padding=1)}),
    'lora': Case(_DEPTH, {'model.backbone.lora_rank': 4}),
    'frozen': Case(_DEPTH, {'model.backbone.freeze_unet': True,
                            'model.decode_head.decoder': 'finetune'}),
    'random-timesteps': Case(
        _DEPTH, {'model.backbone.train_timestep': 'random'}),
    'latent-loss': Case(_DEPTH, {
        'model.decode_head.loss_decode': None,
        'model.decode_head.loss_latent': dict(
            type='genpercept_mm.MaskedMSELoss', reduction='image')}),
    'marigold': Case(_DEPTH, _MARIGOLD),
    'hdn': Case(_DEPTH, {'model.decode_head.loss_decode': [dict(
        type='genpercept_mm.HDNLoss', reduction='image')]}),
    'virtual-normal': Case(_DEPTH, {'model.decode_head.loss_decode': [dict(
        type='genpercept_mm.VirtualNormalLoss', relative_focal_length=1.,
        reduction='image')]}),
}
