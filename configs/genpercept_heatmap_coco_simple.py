# ViTPose's simple decoder: enlarge, ReLU, one 3 x 3 convolution
_base_ = ['genpercept_heatmap_coco.py']
model = dict(
    neck=dict(type='FeatureMapProcessor', scale_factor=2.0, apply_relu=True),
    head=dict(
        deconv_out_channels=[],
        deconv_kernel_sizes=[],
        final_layer=dict(kernel_size=3, padding=1)))
