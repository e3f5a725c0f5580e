_base_ = ['marigold_beta-1-1.py']
model = dict(test_cfg=dict(num_steps=1))
