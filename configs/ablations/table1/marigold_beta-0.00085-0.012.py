_base_ = ['marigold-multires_beta-0.00085-0.012.py']
model = dict(protocol=dict(multi_res=0))
