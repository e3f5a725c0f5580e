# The same network at a size for a laptop, from the small prior that ships
# with the package (tools/analysis_tools/pretrain_mini.py made it)
_base_ = ['genpercept_upernet.py']
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    backbone=dict(arch='mini', pretrained='mini'),
    decode_head=dict(
        in_channels=[32, 64, 96, 96], channels=64, norm_cfg=norm_cfg),
    auxiliary_head=dict(in_channels=96, channels=32, norm_cfg=norm_cfg))
