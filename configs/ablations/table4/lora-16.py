_base_ = ['../_base_/lora.py']
model = dict(backbone=dict(lora_rank=16))
