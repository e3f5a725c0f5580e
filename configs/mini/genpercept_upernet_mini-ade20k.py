# ADE20K with the mini network: to try the ADE20K path on a CPU
_base_ = [
    '../_base_/models/genpercept_upernet_mini.py',
    '../_base_/datasets/ade20k.py', '../_base_/schedules/genpercept_30k.py',
    '../_base_/default_runtime.py'
]
model = dict(
    decode_head=dict(num_classes=150), auxiliary_head=dict(num_classes=150))
