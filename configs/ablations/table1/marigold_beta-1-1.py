_base_ = ['marigold-multires_beta-1-1.py']
model = dict(protocol=dict(multi_res=0))
