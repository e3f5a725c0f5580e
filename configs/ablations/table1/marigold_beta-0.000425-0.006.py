_base_ = ['marigold-multires_beta-0.000425-0.006.py']
model = dict(protocol=dict(multi_res=0))
