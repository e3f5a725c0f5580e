"""The interface of a dense task."""
from abc import ABCMeta, abstractmethod

import numpy as np

from genpercept_mm.registry import CODECS


class BaseDenseCodec(metaclass=ABCMeta):
    """Raw label -> network target -> quantity -> picture.

    One entry in a config, given to `EncodeTarget`, the head and the
    visualizer, defines a task. Only the codec knows how a quantity is
    mirrored, compared with its label, averaged and drawn. A new task is a
    subclass, registered in ``genpercept_mm.registry.CODECS``, that sets the
    attributes and implements the three abstract methods.

    Note:
        - N: images in a batch; H, W: height and width of a map
        - C: channels of the network's target, 1 or 3
        - K: channels of the quantity

    Attributes:
        label (str): Name of the raw label, for example ``'depth'``. A loader
            provides ``results['gt_depth_map']`` and, where pixels can be
            invalid, ``results['gt_depth_mask']``.
        quantity (str): Name of the decoded quantity; predictions are
            ``data_sample.pred_<quantity>_map``.
        channels (int): C. If it is 1, heads average three decoded channels.
        interpolation (str): How targets are resized for training,
            ``'nearest'`` or ``'bilinear'``.
        over_image (bool): Pictures show the image, weighted by the quantity,
            over a checkerboard.
        affine_invariant (bool): The quantity has no scale and shift of its
            own, so windows of a large image are aligned with each other.
        directional (bool): Values are vectors whose first component points to
            the right, so its sign changes when a map is mirrored.
        ensembling (str, optional): How several predictions of one image are
            merged, see `genpercept_mm.diffusion.ensembling`: ``'mean'``;
            ``'affine'``, which aligns scale and shift first; ``'direction'``,
            for unit vectors; or None, not at all.
        error_limit (float): In pictures, errors of this size or more get the
            last colour of the scale.
        error_caption (str): Names the error and the ends of this scale.
    """

    label = None
    quantity = None
    channels = 1
    interpolation = 'nearest'
    affine_invariant = False
    directional = False
    over_image = False
    ensembling = 'mean'
    error_limit = 1.
    error_caption = 'error 0-1'

    @property
    def label_key(self):
        """str: Key of the raw label in a pipeline's results."""
        return f'gt_{self.label}_map'

    @property
    def mask_key(self):
        """str: Key of the validity mask in a pipeline's results."""
        return f'gt_{self.label}_mask'

    @property
    def gt_field(self):
        """str: Field of a data sample that holds the raw label."""
        return self.label_key

    @property
    def pred_field(self):
        """str: Field of a data sample that holds the prediction."""
        return f'pred_{self.quantity}_map'

    @property
    def uncertainty_field(self):
        """str: Field of a data sample that holds an ensemble's spread."""
        return f'pred_{self.quantity}_uncertainty_map'

    def facts(self):
        """Say what the values of the quantity mean, as a dict for results of
        inference: their ``range``, and what a subclass knows besides."""
        return dict(range=(0., 1.))

    @abstractmethod
    def encode(self, label, mask=None):
        """Turn a raw label into the network's target.

        Args:
            label (np.ndarray): (H, W) or (H, W, K), from the loader.
            mask (np.ndarray, optional): (H, W) bool, True where the label is
                valid; None for everywhere.

        Returns:
            tuple[np.ndarray, np.ndarray]: Target (H, W, C) float32 in [-1, 1],
            finite everywhere, and mask (H, W) bool, True for the pixels to
            learn from.
        """

    def condition(self, output, bound):
        """Prepare an output (N, C, H, W) of a head for being resized to the
        original image and decoded; ``bound``, of the head, brings it into
        [-1, 1], which is all that happens here."""
        return bound(output)

    def select(self, first, second):
        """Merge two outputs (N, C, H, W) for one image, where ``ensembling``
        is None; here, to their mean."""
        return (first + second) / 2

    @abstractmethod
    def decode(self, output):
        """Turn a network output into the quantity.

        Args:
            output (Tensor): (N, C, H, W); it is clipped to [-1, 1] here.

        Returns:
            Tensor: (N, K, H, W).
        """

    @abstractmethod
    def colorize(self, quantity):
        """Draw a quantity.

        Args:
            quantity (np.ndarray): (H, W), or (H, W, K) if K > 1.

        Returns:
            np.ndarray: (H, W, 3) uint8 RGB.
        """

    def mirror(self, values, channel_axis):
        """Correct the values of a map that was flipped left to right.

        ``values`` (np.ndarray | Tensor) are a flipped target, output, raw
        label or quantity, with channels on axis ``channel_axis``. If the
        quantity is ``directional``, its first component changes its sign.
        """
        return (mirror_directions(values, channel_axis)
                if self.directional else values)

    @property
    def mirrors(self):
        """bool: Whether `mirror` changes values."""
        return self.directional or (
            type(self).mirror is not BaseDenseCodec.mirror)

    def show_label(self, label, mask=None):
        """Express a raw label as the quantity, to draw both side by side.

        The arguments are those of `encode`; the result is (H, W) or (H, W, K).
        """
        import torch
        target, _ = self.encode(label, mask)
        output = torch.from_numpy(target).permute(2, 0, 1)[None]
        quantity = self.decode(output)[0].permute(1, 2, 0).numpy()
        return quantity[..., 0] if quantity.shape[-1] == 1 else quantity

    def error_map(self, quantity, label, mask):
        """Compare a quantity with a raw label, pixel by pixel.

        Args:
            quantity (np.ndarray): (H, W) or (H, W, K), predicted.
            label (np.ndarray): (H, W) or (H, W, K), from the loader.
            mask (np.ndarray): (H, W) bool, True where the label is valid.

        Returns:
            np.ndarray | None: (H, W), non-negative, NaN where ``mask`` is
            False. None, as here, if the codec defines no error.
        """
        return None

    def best_constants(self, labels):
        """List constant predictions that may score best on some labels.

        They are the baseline that a trained model has to beat. ``labels`` are
        raw, (H, W) or (H, W, K) each; a prediction is the quantity of one
        pixel, (K, ). Here, they are the mean and the median over all pixels.
        """
        maps = [np.asarray(self.show_label(label)) for label in labels]
        values = np.concatenate([
            values.reshape(np.prod(values.shape[:2]), -1) for values in maps])
        return [values.mean(axis=0), np.median(values, axis=0)]


def mirror_directions(values, channel_axis):
    """Change the sign of the first of the three components that vectors, in an
    array or a tensor, have along ``channel_axis``."""
    if isinstance(values, np.ndarray):
        shape = [1] * values.ndim
        shape[channel_axis] = 3
        return values * np.array([-1, 1, 1], np.float32).reshape(shape)
    import torch
    first, rest = values.split([1, 2], dim=channel_axis)
    return torch.cat([-first, rest], dim=channel_axis)


def directional_label_keys():
    """Return the set of keys, in a pipeline's results, of the labels of all
    registered codecs whose values are directions."""
    return {f'gt_{codec.label}_map' for codec in CODECS.module_dict.values()
            if getattr(codec, 'directional', False)}
