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


def use_step_dropout(model):
    """Let a model's ``nn.Dropout`` (of single values) and ``nn.Dropout2d`` (of
    channels), and classes that only inherit them, follow `step_draws`, in
    place."""
    for module in model.modules():
        for stock, ours in ((nn.Dropout, _Values), (nn.Dropout2d, _Channels)):
            kind = type(module)
            if isinstance(module, stock) and kind.forward is stock.forward:
                module.__class__ = type(kind.__name__, (ours, kind), {})
