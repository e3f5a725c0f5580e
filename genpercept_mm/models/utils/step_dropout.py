"""Dropout whose masks belong to images."""
import torch
from torch import nn

from genpercept_mm.utils.step_draws import image_generators


class _StepDropout:
    """Draw the mask of each image by its own generator within `step_draws`,
    and as torch does elsewhere, or where the first dimension is not that of
    images."""

    def forward(self, x):
        if not self.training or self.p == 0:
            return super().forward(x)
        try:
            generators = image_generators(len(x))
        except ValueError:
            generators = None
        if generators is None:
            return super().forward(x)
        shape = self.mask_shape(x)
        keep = torch.stack([
            torch.rand(shape, generator=generator) >= self.p
            for generator in generators]).to(x.device)
        return x * keep / (1 - self.p)


class StepDropout(_StepDropout, nn.Dropout):
    """`torch.nn.Dropout`, of single values."""

    @staticmethod
    def mask_shape(x):
        return x.shape[1:]


class StepDropout2d(_StepDropout, nn.Dropout2d):
    """`torch.nn.Dropout2d`, of channels of (N, C, H, W)."""

    @staticmethod
    def mask_shape(x):
        return (*x.shape[1:2], *(1, ) * (x.ndim - 2))


def use_step_dropout(model):
    """Let a model's dropout follow `step_draws`, in place."""
    for module in model.modules():
        if type(module) is nn.Dropout:
            module.__class__ = StepDropout
        elif type(module) is nn.Dropout2d:
            module.__class__ = StepDropout2d
