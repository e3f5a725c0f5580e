_base_ = ['marigold-multires_beta-0.136-0.192.py']
model = dict(protocol=dict(multi_res=0))
