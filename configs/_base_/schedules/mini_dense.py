# mini.py for networks that end in a decoder: deeper, so they learn slower
_base_ = ['mini.py']
optim_wrapper = dict(optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=4)
