# Group norm in the heads: unlike with batch norm, the result does not depend
# on the number of images that run at once
_base_ = ['genpercept_upernet_mini-hypersim.py']
norm_cfg = dict(_delete_=True, type='GN', num_groups=8, requires_grad=True)
model = dict(
    decode_head=dict(norm_cfg=norm_cfg),
    auxiliary_head=dict(norm_cfg=norm_cfg))
