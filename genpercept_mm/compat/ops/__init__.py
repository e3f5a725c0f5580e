"""Plain-torch bodies for the ops of ``mmcv._ext`` that common models reach.

mmcv's Python wrappers (``mmcv/ops/*.py``) call a compiled module, which
mmcv-lite lacks. Each function here takes the place of the compiled function
of the same name, with the same arguments, in the same order, and the same
outputs, which are written in place or, for gradients of all but the focal
losses, added to. mmcv's documentation of the op holds unless the function
says otherwise. `OPS` lists the functions.

Values follow mmcv's CPU code, on any device. Where the compiled CPU build has
no such op (focal losses, RoIPool, deformable attention) they follow the CUDA
code. float16 and bfloat16 are computed in float32.

Note:
    Boxes are (M, 4) or (M, 5) with their score, as x1, y1, x2, y2; RoIs are
    (M, 5), as image index, x1, y1, x2, y2; all in pixels. Inputs are (N, C,
    H, W) and pooled outputs (M, C, P, Q), for N images, C channels, H x W
    cells and P x Q bins or output cells. Convolutions have weights (C_out, C /
    groups, kernel height, kernel width), offsets (N, deform groups * K * 2, P,
    Q), y before x, in cells, and masks (N, deform groups * K, P, Q), for K
    kernel taps. ``columns``, ``ones`` and ``im2col_step`` are work space that
    is not needed here.
"""
import inspect

from . import boxes, deform, focal, rois

OPS = {
    name: function
    for module in (boxes, deform, focal, rois)
    for name, function in vars(module).items()
    if inspect.isfunction(function) and name[0] != '_'
    and function.__module__ == module.__name__}
