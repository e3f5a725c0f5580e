_base_ = ['marigold-multires_beta-0.0034-0.048.py']
model = dict(protocol=dict(multi_res=0))
