"""Pictures of dense predictions beside their labels."""
import os.path as osp

import cv2
import mmcv
import numpy as np
from mmengine.dist import master_only
from mmseg.visualization import SegLocalVisualizer

from genpercept_mm.registry import CODECS, VISUALIZERS
from genpercept_mm.utils.arrays import channels_last
from genpercept_mm.utils.files import write_bytes
from genpercept_mm.utils.pictures import encode_picture

from .error_colors import colorize_error

# what SegLocalVisualizer draws without a codec
STOCK_FIELDS = ('gt_sem_seg', 'pred_sem_seg', 'gt_depth_map',
                'pred_depth_map')
FONT = cv2.FONT_HERSHEY_SIMPLEX


@VISUALIZERS.register_module()
class DenseLocalVisualizer(SegLocalVisualizer):
    """Draw image, prediction, label and error side by side.

    The codec determines which fields of a data sample are drawn, how they are
    drawn, and what the error is. Every panel has a caption above it; the error
    has its colour scale below the caption, with zero at the left. Mattes are
    drawn over a checkerboard, and pixels without a valid label are black. If
    the codec defines no error, as that of classes, there is no such panel.

    Args:
        name (str): Name of the instance. Defaults to 'visualizer'.
        codec (dict | BaseDenseCodec, optional): The task. None takes the one
            with which a sample was predicted; other samples are drawn as by
            mmseg's ``SegLocalVisualizer``.
        max_width (int): Maximum width of a panel in pixels; wider ones, such
            as ETH3D's photographs, are shrunk. Defaults to 1536.
        **kwargs: Arguments of mmseg's ``SegLocalVisualizer``.
    """

    def __init__(self, name='visualizer', codec=None, max_width=1536,
                 **kwargs):
        super().__init__(name, **kwargs)
        self.max_width = max_width
        self.codec = CODECS.build(codec) if isinstance(codec, dict) else codec

    @master_only
    def add_datasample(self, name, image, data_sample=None, draw_gt=True,
                       draw_pred=True, show=False, wait_time=0,
                       out_file=None, step=0, with_labels=True):
        """Draw a data sample and pass the picture to the back ends.

        Args:
            name (str): Name of the picture.
            image (np.ndarray): (H, W, 3) uint8 RGB; it is resized if
                prediction and label have another size.
            data_sample (SegDataSample, optional): Prediction, label or both.
            draw_gt (bool): Draw the label, and the error. Defaults to True.
            draw_pred (bool): Draw prediction and error. Defaults to True.
            show (bool): Open a window. Defaults to False.
            wait_time (float): Seconds for which the window is shown, or 0
                until a key is pressed. Defaults to 0.
            out_file (str, optional): File to write, instead of the back ends.
            step (int): Recorded with the picture. Defaults to 0.
            with_labels (bool): Write class names if there is no codec.
                Defaults to True.

        Raises:
            ValueError: If there is nothing to draw, the sample lacks the
                prediction, or prediction and label differ in size.
        """
        codec = self.codec or _codec_of(data_sample, draw_pred)
        if codec is None:
            _check_stock(data_sample, draw_gt, draw_pred)
            super().add_datasample(name, image, data_sample, draw_gt,
                                   draw_pred, show, wait_time, out_file, step,
                                   with_labels)
            return
        drawn = np.concatenate([
            _captioned(self._shrunk(panel), caption, scale)
            for panel, caption, scale in self.draw_panels(
                image, data_sample, draw_gt, draw_pred, codec)], axis=1)
        self.set_image(drawn)
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is not None:
            write_bytes(out_file, encode_picture(
                drawn, osp.splitext(out_file)[1]))
        else:
            self.add_image(name, drawn, step)

    def _shrunk(self, panel):
        height, width = panel.shape[:2]
        if width <= self.max_width:
            return panel
        size = self.max_width, max(height * self.max_width // width, 1)
        return cv2.resize(panel, size, interpolation=cv2.INTER_AREA)

    def draw_panels(self, image, data_sample, draw_gt=True, draw_pred=True,
                    codec=None):
        """Draw the panels, without captions; see `add_datasample`.

        ``codec`` takes the place of the visualizer's own. Return a list of
        tuples: (H, W, 3) uint8 RGB, caption, and whether the panel has a
        colour scale of errors.
        """
        codec = codec or self.codec
        pred = label = None
        if draw_pred and data_sample is not None:
            if codec.pred_field not in data_sample:
                raise ValueError(
                    f'DenseLocalVisualizer: {codec.pred_field!r} is not among '
                    f"the sample's predictions {_predictions(data_sample)}; "
                    "set visualizer.codec to the model's codec.")
            pred = channels_last(data_sample.get(codec.pred_field))
        if draw_gt and data_sample is not None and (
                codec.gt_field in data_sample):
            label = channels_last(data_sample.get(codec.gt_field))
        if pred is None and label is None:
            raise ValueError(
                'DenseLocalVisualizer: there is nothing to draw beside the '
                f'image; pass a data sample with {codec.pred_field!r} or '
                f'{codec.gt_field!r}.')
        if pred is not None and label is not None and (
                pred.shape[:2] != label.shape[:2]):
            raise ValueError(
                f'DenseLocalVisualizer: {codec.pred_field} has the size '
                f'{pred.shape[:2]}, but {codec.gt_field} has '
                f'{label.shape[:2]}; load the label after Resize, so that it '
                'keeps its original size.')

        height, width = (label if pred is None else pred).shape[:2]
        if image.shape[:2] != (height, width):
            image = mmcv.imresize(image, (width, height))
        panels = [(image, 'image', False)]
        if pred is not None:
            panels.append((paint(codec, image, pred), 'prediction', False))
        if label is not None:
            mask = None
            if codec.mask_key in data_sample:
                mask = channels_last(data_sample.get(codec.mask_key)) > 0
            valid = codec.encode(label, mask)[1]
            shown = paint(codec, image, codec.show_label(label, mask))
            panels.append((shown * valid[..., None], 'label', False))
        if pred is not None and label is not None:
            error = codec.error_map(pred, label, valid)
            if error is not None:
                panels.append((colorize_error(error, codec.error_limit),
                               codec.error_caption, True))
        return panels


def paint(codec, image, quantity):
    """Draw a quantity (H, W) or (H, W, K), over the image (H, W, 3) RGB if the
    codec wants it; returns (H, W, 3) uint8 RGB."""
    if codec.over_image:
        return _over_checkerboard(image, quantity)
    return codec.colorize(quantity)


def _codec_of(data_sample, draw_pred):
    """Build the codec with which a sample was predicted, or return None; mmseg
    draws classes better, with their names."""
    codec = data_sample.metainfo.get('codec') if (
        draw_pred and data_sample is not None) else None
    if codec is None or 'pred_sem_seg' in data_sample:
        return None
    return CODECS.build(dict(codec))


def _check_stock(data_sample, draw_gt, draw_pred):
    """Refuse a sample of which mmseg's visualizer would draw nothing."""
    drawn = ('gt_', ) * draw_gt + ('pred_', ) * draw_pred
    if data_sample is None or not any(
            field in data_sample for field in STOCK_FIELDS
            if field.startswith(drawn)):
        raise ValueError(
            'DenseLocalVisualizer: there is nothing to draw without a codec; '
            f'the sample has predictions {_predictions(data_sample)}. Set '
            "visualizer.codec to the model's codec, for example "
            "codec=dict(type='genpercept_mm.NormalCodec').")


def _predictions(data_sample):
    """List the names of a sample's predictions."""
    return [] if data_sample is None else sorted(
        key for key in data_sample.keys() if key.startswith('pred_'))


def _over_checkerboard(image, alpha):
    """Put an image (H, W, 3), of opacity (H, W), over grey squares."""
    height, width = alpha.shape
    side = max(min(height, width) // 32, 4)
    rows, columns = np.ogrid[:height, :width]
    squares = (rows // side + columns // side) % 2
    board = np.where(squares, 255., 191.)[..., None]
    alpha = np.clip(alpha, 0, 1)[..., None]
    return np.round(image * alpha + board * (1 - alpha)).astype(np.uint8)


def _captioned(panel, caption, scale):
    """Put a white strip above a panel (H, W, 3), with a caption that is
    shrunk to fit and, if asked for, the colour scale of errors."""
    height, width = panel.shape[:2]
    strip = max(height // 20, 16)
    canvas = np.full((strip, width, 3), 255, np.uint8)
    (text_width, text_height), _ = cv2.getTextSize(caption, FONT, 1., 1)
    size = min(.5 * strip / text_height, .9 * width / text_width)
    cv2.putText(canvas, caption, (2, int(.65 * strip)), FONT, size, (0, 0, 0),
                max(round(size), 1), cv2.LINE_AA)
    if scale:
        ramp = colorize_error(np.linspace(0, 1, width)[None], 1.)
        canvas[-max(strip // 6, 2):] = ramp
    return np.concatenate([canvas, panel])
