# Table 7, angular loss. The official config mixes in normals of Virtual KITTI
# 2, made in an unpublished way; appendix H.2 says Hypersim only.
_base_ = [
    '_base_/models/genpercept_vae.py', '_base_/datasets/hypersim_normal.py',
    '_base_/schedules/genpercept_30k.py', '_base_/dense_runtime.py'
]
model = dict(
    decode_head=dict(
        codec={{_base_.codec}},
        loss_decode=dict(type='genpercept_mm.AngularLoss', loss_weight=1.0)))
visualizer = dict(codec={{_base_.codec}})
default_hooks = dict(checkpoint=dict(save_best='mean', rule='less'))
