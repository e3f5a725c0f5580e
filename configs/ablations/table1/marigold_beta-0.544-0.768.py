_base_ = ['marigold-multires_beta-0.544-0.768.py']
model = dict(protocol=dict(multi_res=0))
