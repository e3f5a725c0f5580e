"""Dropout whose masks belong to images."""
import torch
from torch import nn

from genpercept_mm.utils.step_draws import repeatable_generators


class _StepDropout:
    """Draw the mask of each image by its own generator within `step_draws`,
    and as torch does elsewhere, or where the first dimension is not that of
    images."""

    def forward(self, x):
        if not self.training or self.p in (0, 1):
            return super().forward(x)
        try:
            generators = repeatable_generators(len(x))
        except ValueError:
            generators = None
        if generators is None:
            return super().forward(x)
        shape = self.mask_shape(x)
        keep = torch.stack([
            torch.rand(shape, generator=generator) >= self.p
            for generator in generators]).to(x.device)
        return x * keep / (1 - self.p)


class _Values(_StepDropout):

    @staticmethod
    def mask_shape(x):
        return x.shape[1:]


class _Channels(_StepDropout):

    @staticmethod
    def mask_shape(x):
        return (*x.shape[1:2], *(1, ) * (x.ndim - 2))


class _Paths:
    """Stochastic depth, as mmcv's and timm's ``DropPath``: of each image, the
    whole branch or nothing."""

    def forward(self, x):
        generators = None
        if self.training and self.drop_prob and self.drop_prob < 1:
            try:
                generators = repeatable_generators(len(x))
            except ValueError:
                pass
        if generators is None:
            return super().forward(x)
        keep = torch.stack([
            torch.rand((1, ) * (x.ndim - 1), generator=generator)
            >= self.drop_prob for generator in generators]).to(x.device)
        if getattr(self, 'scale_by_keep', True):
            return x * keep / (1 - self.drop_prob)
        return x * keep


def use_step_dropout(model):
    """Let a model's ``nn.Dropout`` (of single values), ``nn.Dropout2d`` (of
    channels) and classes that only inherit them, and ``DropPath`` (of whole
    branches), follow `step_draws`, in place."""
    for module in model.modules():
        kind, ours = type(module), None
        if kind.__name__ == 'DropPath' and hasattr(module, 'drop_prob'):
            ours = _Paths
        for stock, candidate in ((nn.Dropout, _Values),
                                 (nn.Dropout2d, _Channels)):
            if isinstance(module, stock) and kind.forward is stock.forward:
                ours = candidate
        if ours is not None and not isinstance(module, ours):
            module.__class__ = type(kind.__name__, (ours, kind), {})
