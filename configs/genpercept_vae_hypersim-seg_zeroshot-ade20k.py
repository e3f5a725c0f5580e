# Table 9, classes as colours, zero-shot: the model of
# genpercept_vae_hypersim-seg.py on the ADE20K validation images, in the 33
# classes that both have. For tools/test.py.
_base_ = ['genpercept_vae_hypersim-seg.py']
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='genpercept_mm.DenseResize', long_edge=768),
    dict(type='genpercept_mm.LoadSegLabel', num_ids=151),
    dict(type='genpercept_mm.PackDenseInputs')
]
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='genpercept_mm.ADE20KNYU40Dataset',
        data_root='data/ade/ADEChallengeData2016',
        data_prefix=dict(
            img_path='images/validation',
            seg_map_path='annotations/validation'),
        pipeline=test_pipeline,
        test_mode=True))
# 0-based NYU40 classes without paper, showercurtain, whiteboard, nightstand
# and other*: those have no counterpart in ADE20K
test_evaluator = dict(
    class_indices=[
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
        20, 21, 22, 23, 24, 26, 28, 30, 32, 33, 34, 35, 36
    ])
