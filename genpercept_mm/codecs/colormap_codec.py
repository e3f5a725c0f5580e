"""Semantic classes as colours."""
import numpy as np

from genpercept_mm.registry import CODECS
from genpercept_mm.utils.arguments import check_choice
from genpercept_mm.utils.nyu40 import NYU40

from .base_codec import BaseDenseCodec

PALETTES = dict(nyu40=[color for _, color in NYU40])


@CODECS.register_module()
class ColormapCodec(BaseDenseCodec):
    """Semantic classes, each drawn in its colour (paper, section 4).

    A colour c in 0..255 becomes ``y = c / 127.5 - 1``. Decoding takes the
    class of the nearest colour; the paper does not say how it decodes. Labels
    and predictions are mmseg's ``gt_sem_seg`` and ``pred_sem_seg``, so its
    metrics apply.

    Args:
        palette (str | Sequence[Sequence[int]]): ``'nyu40'``, or one RGB triple
            in 0..255 for each class. Defaults to 'nyu40'.
        ignore_index (int): Label of unlabelled pixels. Defaults to 255.
        stretch (bool): Encode as the official code does: unlabelled pixels are
            black and count as valid, and the colours of an image are stretched
            from their smallest and largest value, over all channels, to the
            whole range. Decoding cannot undo this, so classes are lost in
            images without black and white. Defaults to False.

    Raises:
        ValueError: If the palette is unknown, is not (K, 3) in 0..255, or
            gives two classes the same colour.
    """

    label = 'seg'
    quantity = 'sem_seg'
    channels = 3
    # the mean of two classes' colours is a third one's
    ensembling = None

    def __init__(self, palette='nyu40', ignore_index=255, stretch=False):
        if isinstance(palette, str):
            check_choice('ColormapCodec', 'palette', palette, PALETTES)
            palette = PALETTES[palette]
        colors = np.array(palette)
        if colors.ndim != 2 or colors.shape[1] != 3 or (
                not np.issubdtype(colors.dtype, np.integer)
                or colors.min() < 0 or colors.max() > 255):
            raise ValueError('ColormapCodec: palette must be one RGB triple '
                             f'in 0..255 for each class, got {palette!r}.')
        if len(np.unique(colors, axis=0)) < len(colors):
            raise ValueError('ColormapCodec: two classes have the same '
                             'colour; predictions could not be decoded.')
        self.palette = colors.astype(np.uint8)
        self.ignore_index = ignore_index
        self.stretch = stretch

    @property
    def gt_field(self):
        """str: mmseg's field of labels."""
        return 'gt_sem_seg'

    @property
    def pred_field(self):
        """str: mmseg's field of predictions."""
        return 'pred_sem_seg'

    def encode(self, label, mask=None):
        """See `BaseDenseCodec.encode`; the label is (H, W) class ids.

        Unlabelled pixels are black, and invalid unless ``stretch`` is set.
        Another shape or type, or an id without a colour, raises a ValueError.
        """
        ids = np.asarray(label)
        labelled = ids != self.ignore_index
        if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
            raise ValueError('ColormapCodec: a label must be (H, W) class '
                             f'ids, got {ids.dtype} {ids.shape}.')
        if labelled.any() and not 0 <= ids[labelled].min() <= ids[
                labelled].max() < len(self.palette):
            raise ValueError(
                f'ColormapCodec: class ids must be 0..{len(self.palette) - 1}'
                f' or {self.ignore_index}, got {ids[labelled].min()} to '
                f'{ids[labelled].max()}; set palette to that of the data '
                'set.')
        colors = self.colorize(ids).astype(np.float32)
        valid = labelled if mask is None else labelled & mask.astype(bool)
        low, high = 0., 255.
        if self.stretch:
            low, high = colors.min(), colors.max()
            valid = np.ones_like(valid)
        span = max(high - low, 1e-8)
        return ((colors - low) / span * 2 - 1).astype(np.float32), valid

    def decode(self, output):
        """See `BaseDenseCodec.decode`; the quantity is int64 class ids, and
        ``ignore_index`` where the output is NaN."""
        import torch
        ids = []
        for strip, score in self._scores(output):
            nearest = score.argmin(dim=1, keepdim=True)
            ids.append(torch.where(
                strip.sum(1, keepdim=True).isnan(), self.ignore_index,
                nearest))
        return torch.cat(ids, dim=2)

    def select(self, first, second):
        """Merge two outputs (N, 3, H, W): each pixel is that of the output
        which is nearer to the colour of a class, as a mean of both would be
        the colour of a third class."""
        import torch
        distances = [torch.cat([
            (strip.square().sum(1, keepdim=True)
             + score.amin(1, keepdim=True)) for strip, score in
            self._scores(output)], dim=2) for output in (first, second)]
        return torch.where(distances[1] < distances[0], second, first)

    def _scores(self, output):
        """Yield strips (N, 3, h, W) of an output, clipped, and for each class
        |y - c|^2 without |y|^2, (N, K, h, W)."""
        import torch
        colors = torch.as_tensor(
            self.palette, dtype=torch.float32,
            device=output.device) / 127.5 - 1
        norms = colors.square().sum(1).view(1, -1, 1, 1)
        output = output.float().clamp(-1, 1)
        # in strips, as every pixel has a score for each class; but not while a
        # graph is traced, which would have the strips of one height alone
        for strip in ((output, ) if torch.compiler.is_compiling()
                      else output.split(128, dim=2)):
            # no product that autocast would compute in half precision
            yield strip, norms - 2 * sum(
                strip[:, channel, None] * colors[:, channel].view(1, -1, 1, 1)
                for channel in range(3))

    def facts(self):
        """See `BaseDenseCodec.facts`; values are class ids."""
        return dict(range=(0, len(self.palette) - 1))

    def colorize(self, quantity):
        """See `BaseDenseCodec.colorize`; pixels without a class are black."""
        ids = np.asarray(quantity)
        table = np.concatenate([self.palette, np.zeros((1, 3), np.uint8)])
        known = (ids >= 0) & (ids < len(self.palette)) & (
            ids != self.ignore_index)
        # len, as unsigned ids cannot take -1
        return table[np.where(known, ids, len(self.palette))]

    def show_label(self, label, mask=None):
        """See `BaseDenseCodec.show_label`; a label is a quantity already."""
        return label

    def best_constants(self, labels):
        """See `BaseDenseCodec.best_constants`; the candidate is the most
        frequent class."""
        ids = np.concatenate([np.ravel(label) for label in labels])
        ids = ids[(ids != self.ignore_index) & (ids >= 0)]
        return [np.bincount(ids, minlength=1).argmax(keepdims=True)]
