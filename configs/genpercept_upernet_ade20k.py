# Table 9, "train U-Net + UperNet" on ADE20K
_base_ = [
    '_base_/models/genpercept_upernet.py', '_base_/datasets/ade20k.py',
    '_base_/schedules/genpercept_30k.py', '_base_/default_runtime.py'
]
model = dict(
    decode_head=dict(num_classes=150), auxiliary_head=dict(num_classes=150))
