# "Our baseline" of tables 1 to 5 and 12: one step without noise, MSE on the
# latent, the whole U-Net trained, 640 x 480, no prompt, random timesteps
_base_ = [
    '../../_base_/models/genpercept_vae.py',
    '../../_base_/datasets/hypersim_vkitti2_depth.py',
    '../../_base_/datasets/affine_depth_benchmarks.py',
    '../../_base_/schedules/genpercept_30k.py',
    '../../_base_/dense_runtime.py'
]
model = dict(
    decode_head=dict(
        codec={{_base_.codec}},
        loss_latent=dict(type='genpercept_mm.MaskedMSELoss', loss_weight=1.0)))
visualizer = dict(codec={{_base_.codec}})
default_hooks = dict(checkpoint=dict(save_best='abs_rel', rule='less'))
