# Table 6 "disparity" with the DPT head; micro batches of 8
_base_ = [
    '_base_/models/genpercept_dpt.py',
    '_base_/datasets/hypersim_vkitti2_disparity.py',
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
            dict(type='genpercept_mm.GradientMatchingLoss', loss_weight=2.0)
        ]))
train_dataloader = dict(batch_size=8)
visualizer = dict(codec={{_base_.codec}})
default_hooks = dict(checkpoint=dict(save_best='abs_rel', rule='less'))
