_base_ = ['marigold-multires_beta-0.0002125-0.003.py']
model = dict(protocol=dict(multi_res=0))
