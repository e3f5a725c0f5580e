# Table 9, classes as colours
_base_ = [
    '_base_/models/genpercept_vae.py', '_base_/datasets/hypersim_colormap.py',
    '_base_/schedules/genpercept_30k.py', '_base_/dense_runtime.py'
]
model = dict(
    decode_head=dict(
        codec={{_base_.codec}},
        loss_decode=dict(type='genpercept_mm.MaskedMSELoss',
                         loss_weight=1.0)))
visualizer = dict(codec={{_base_.codec}})
