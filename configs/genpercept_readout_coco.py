# Heatmaps read off the U-Net's last features, without deconvolutions
_base_ = ['genpercept_heatmap_coco.py']
custom_imports = dict(imports=[
    'genpercept_mm', 'genpercept_mm.datasets.coco_pose',
    'genpercept_mm.models.heads.readout_heatmap_head'
])
model = dict(
    backbone=dict(out_indices=(5, )),
    head=dict(
        _delete_=True,
        type='genpercept_mm.ReadoutHeatmapHead',
        in_channels=320,
        out_channels=17,
        loss={{_base_.model.head.loss}},
        decoder={{_base_.codec}}))
