"""What a dense task must say about itself."""
from abc import ABCMeta, abstractmethod


class BaseDenseCodec(metaclass=ABCMeta):
    """Raw label -> network target -> quantity -> picture.

    One entry in a config, given to `EncodeTarget`, the head and the
    visualizer, makes a task; metrics, and error panels of pictures, follow
    from the name of the predicted field. A new task is a
    subclass, registered in ``genpercept_mm.registry.CODECS``, that sets the
    attributes and implements the three methods.

    Note:
        - N: images in a batch; H, W: height and width of a map
        - C: channels of the network's target, 1 or 3
        - K: channels of the quantity

    Attributes:
        label (str): Name of the raw label, for example ``'depth'``; a loader
            gives ``results['gt_depth_map']`` and, where pixels can be
            invalid, ``results['gt_depth_mask']``.
        quantity (str): Name of what is decoded; predictions are
            ``data_sample.pred_<quantity>_map``.
        channels (int): C; with 1, heads average three decoded channels.
        interpolation (str): How targets are resized for training,
            ``'nearest'`` or ``'bilinear'``.
        over_image (bool): Pictures show the image, weighted by the quantity,
            over a checkerboard.
        affine_invariant (bool): The quantity has no scale and shift of its
            own, so windows of a large image are aligned to each other.
        ensembling (str, optional): How several predictions of one image
            become one, see `genpercept_mm.diffusion.ensembling`:
            ``'mean'``; ``'affine'``, aligned in scale and shift first;
            ``'direction'``, for vectors of unit length; None, not at all.
    """

    label = None
    quantity = None
    channels = 1
    interpolation = 'nearest'
    affine_invariant = False
    over_image = False
    ensembling = 'mean'

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

    @abstractmethod
    def encode(self, label, mask=None):
        """Turn a raw label into the network's target.

        Args:
            label (np.ndarray): (H, W) or (H, W, K), as the loader gives it.
            mask (np.ndarray, optional): (H, W) bool, True where the label is
                valid. Defaults to None (everywhere).

        Returns:
            tuple[np.ndarray, np.ndarray]: Target (H, W, C) float32 in
            [-1, 1], finite everywhere, and mask (H, W) bool of the pixels
            to learn from.
        """

    @abstractmethod
    def decode(self, output):
        """Turn a network output into the quantity.

        Args:
            output (Tensor): (N, C, H, W); clipped to [-1, 1] here.

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
        """Correct values after their map was flipped left to right.

        Args:
            values (np.ndarray | Tensor): A flipped target, output, raw label
                or quantity.
            channel_axis (int): Where the channels are.

        Returns:
            np.ndarray | Tensor: The values; unchanged unless they are
            directions.
        """
        return values

    def show_label(self, label, mask=None):
        """Express a raw label as the quantity, to be drawn beside it.

        Args:
            label (np.ndarray): (H, W) or (H, W, K).
            mask (np.ndarray, optional): (H, W) bool. Defaults to None.

        Returns:
            np.ndarray: (H, W) or (H, W, K).
        """
        import torch
        target, _ = self.encode(label, mask)
        output = torch.from_numpy(target).permute(2, 0, 1)[None]
        quantity = self.decode(output)[0].permute(1, 2, 0).numpy()
        return quantity[..., 0] if quantity.shape[-1] == 1 else quantity
