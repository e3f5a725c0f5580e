# Table 9, "train U-Net + UperNet" on Hypersim
_base_ = [
    '_base_/models/genpercept_upernet.py', '_base_/datasets/hypersim.py',
    '_base_/schedules/genpercept_30k.py', '_base_/default_runtime.py'
]
