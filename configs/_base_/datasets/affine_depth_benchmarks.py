# The five zero-shot depth benchmarks of tables 1 to 6, in one run: each
# metric takes the samples of its data set. Sizes, crops and ranges are those
# of the official evaluation.
load_image = dict(type='LoadImageFromFile')
load_depth = dict(type='genpercept_mm.LoadDepth')
pack = dict(type='genpercept_mm.PackDenseInputs')
# photographs without labels, at the official pipeline's default size
test_pipeline = [
    load_image,
    dict(type='genpercept_mm.DenseResize', long_edge=768), pack
]
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(
                type='genpercept_mm.KITTIDepthDataset',
                data_root='data/kitti',
                pipeline=[
                    load_image, load_depth,
                    dict(type='genpercept_mm.KITTIBenchmarkCrop'), pack
                ],
                test_mode=True),
            dict(
                type='genpercept_mm.NYUDepthDataset',
                data_root='data/nyuv2',
                pipeline=[load_image, load_depth, pack],
                test_mode=True),
            dict(
                type='genpercept_mm.ScanNetDepthDataset',
                data_root='data/scannet',
                pipeline=[load_image, load_depth, pack],
                test_mode=True),
            dict(
                type='genpercept_mm.DIODEDataset',
                data_root='data/diode',
                pipeline=[
                    load_image,
                    dict(type='genpercept_mm.DenseResize', long_edge=640),
                    load_depth, pack
                ],
                test_mode=True),
            dict(
                type='genpercept_mm.ETH3DDataset',
                data_root='data/eth3d',
                pipeline=[
                    load_image,
                    dict(type='genpercept_mm.DenseResize', long_edge=756),
                    load_depth, pack
                ],
                test_mode=True)
        ]))
test_evaluator = [
    dict(
        type='genpercept_mm.AffineDepthMetric',
        dataset_name='kitti',
        min_depth=1e-5,
        max_depth=80,
        crop='eigen_kitti'),
    dict(
        type='genpercept_mm.AffineDepthMetric',
        dataset_name='nyuv2',
        min_depth=1e-3,
        max_depth=10,
        crop='eigen_nyu'),
    dict(
        type='genpercept_mm.AffineDepthMetric',
        dataset_name='scannet',
        min_depth=1e-3,
        max_depth=10),
    dict(
        type='genpercept_mm.AffineDepthMetric',
        dataset_name='diode',
        min_depth=0.6,
        max_depth=350,
        # the range clips predictions; the mask files say what is valid
        mask_by_range=False),
    dict(
        type='genpercept_mm.AffineDepthMetric',
        dataset_name='eth3d',
        min_depth=1e-5,
        max_depth=None,
        # alignment_width_only=True is what the official code does
        alignment_max_res=1024)
]
