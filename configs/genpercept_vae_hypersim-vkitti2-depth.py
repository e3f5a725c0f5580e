# Table 6 "depth", which is table 2 "image customised loss". The paper's text
# says 768 x 768; the official config, and this one, 640 x 480.
_base_ = [
    '_base_/models/genpercept_vae.py',
    '_base_/datasets/hypersim_vkitti2_depth.py',
    '_base_/datasets/affine_depth_benchmarks.py',
    '_base_/schedules/genpercept_30k.py', '_base_/dense_runtime.py'
]
model = dict(
    decode_head=dict(
        codec={{_base_.codec}},
        loss_decode=[
            dict(type='genpercept_mm.MaskedMSELoss', loss_weight=1.0),
            dict(
                type='genpercept_mm.ScaleShiftInvariantLoss',
                loss_weight=0.5),
            # scales=1, directions='vertical' is what the official code does
            dict(type='genpercept_mm.GradientMatchingLoss', loss_weight=2.0)
        ]))
visualizer = dict(codec={{_base_.codec}})
default_hooks = dict(checkpoint=dict(save_best='abs_rel', rule='less'))
