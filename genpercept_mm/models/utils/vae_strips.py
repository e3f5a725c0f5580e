"""Stable Diffusion's VAE in strips of rows, for images that fill the memory.

Tiles of an image differ at their seams, as group norm averages over all of
it. Here each layer runs over the whole image, a strip of rows after another,
so that the result is the same to rounding, and beside the maps between layers
only a strip is in memory. Large maps may wait in the memory of the CPU.
"""
import functools

import torch
from torch import nn

_BLOCKS = ('DownEncoderBlock2D', 'UpDecoderBlock2D')


class Strips:
    """Layers over maps (N, C, H, W), strip by strip.

    Args:
        strip (int): Elements of the input of a layer, of all its channels,
            that are processed at once. Defaults to 16777216.
        largest (int, optional): Bytes above which a map waits in the memory
            of the CPU. Defaults to None (never).
    """

    def __init__(self, strip=2**24, largest=None):
        self.strip, self.largest = strip, largest

    def encode(self, encoder, image):
        """Run diffusers' ``Encoder``."""
        self.device = image.device
        x = self.layer(image, encoder.conv_in)
        for block in encoder.down_blocks:
            for resnet in block.resnets:
                x = self.resnet(resnet, x)
            for sampler in block.downsamplers or ():
                x = self.layer(x, sampler, stride=2)
        return self.last(encoder, encoder.mid_block(x.to(self.device)))

    def decode(self, decoder, latent):
        """Run diffusers' ``Decoder``."""
        self.device = latent.device
        x = decoder.mid_block(decoder.conv_in(latent))
        for block in decoder.up_blocks:
            for resnet in block.resnets:
                x = self.resnet(resnet, x)
            for sampler in block.upsamplers or ():
                x = self.layer(x, sampler, scale=2)
        return self.last(decoder, x)

    def last(self, part, x):
        """Run the output layers of an ``Encoder`` or ``Decoder``."""
        norm = self.normalization(part.conv_norm_out, x)
        return self.layer(x, lambda rows: part.conv_out(
            part.conv_act(norm(rows))), here=True)

    def resnet(self, block, x):
        """Run a ``ResnetBlock2D``."""
        norm = self.normalization(block.norm1, x)
        hidden = self.layer(x, lambda rows: block.conv1(
            block.nonlinearity(norm(rows))))
        norm_2 = self.normalization(block.norm2, hidden)
        shortcut = block.conv_shortcut or nn.Identity()
        return self.layer(
            hidden, lambda rows: block.conv2(
                block.nonlinearity(norm_2(rows))),
            add=lambda top, bottom: shortcut(self.rows(x, top, bottom)))

    def rows(self, x, top, bottom):
        """Bring rows of a map, as far as it has them, to the device."""
        return x[:, :, max(top, 0):bottom].to(self.device)

    def layer(self, x, function, scale=1, stride=1, add=None, here=False):
        """Apply a function with a 3 x 3 convolution that pads with zeros.

        A row of halo on both sides is thrown away afterwards, as the
        convolution has seen zeros beside it.

        Args:
            x (Tensor): (N, C, H, W).
            function (callable): From rows to rows.
            scale (int): Rows that each row becomes.
            stride (int): Rows that become one, of which the convolution sees
                one more below.
            add (callable, optional): Gives what is added to rows from top to
                bottom.
            here (bool): Whether the result must be on the device.
        """
        def moved(row):
            return row * scale // stride

        result, spans = None, self.spans(x, stride)
        for top, bottom in spans:
            above = min(top, 1) if stride == 1 else 0
            part = function(self.rows(x, top - above, bottom + 1))
            part = part[:, :, above * scale:][:, :, :moved(bottom - top)]
            if add is not None:
                part = part + add(top, bottom)
            if len(spans) == 1:
                return part
            if result is None:
                result = self.empty(part, moved(spans[-1][1]), here)
            result[:, :, moved(top):moved(bottom)] = part
        return result

    def spans(self, x, stride=1):
        """List the strips of a map, each a multiple of the stride; rows that
        are left over are not the first of a stride's window."""
        each = max(self.strip // (x[:, :, :1].numel() * stride), 1) * stride
        height = x.shape[2] // stride * stride
        return [(top, min(top + each, height))
                for top in range(0, height, each)]

    def empty(self, part, rows, here):
        """Allocate a map like a strip, with so many rows, where it shall be:
        on the device if ``here`` or it is small, else on the CPU."""
        shape = (*part.shape[:2], rows, part.shape[3])
        size = part.element_size() * torch.Size(shape).numel()
        waits = self.largest is not None and size > self.largest and not here
        return part.new_empty(shape, device='cpu' if waits else part.device)

    def normalization(self, norm, x):
        """Return a function that applies group norm to rows of a map, with
        the mean and the variance of all of it."""
        count, mean, squares = 0, 0, 0
        for top, bottom in self.spans(x):
            rows = self.rows(x, top, bottom).float().unflatten(
                1, (norm.num_groups, -1)).flatten(2)
            variance, center = torch.var_mean(rows, dim=2, correction=0)
            size, shift = rows.shape[2], center - mean
            total = count + size
            mean = mean + shift * (size / total)
            squares = squares + variance * size + shift.square() * (
                count * size / total)
            count = total
        channels = norm.num_channels // norm.num_groups
        scale = (squares / count + norm.eps).rsqrt().repeat_interleave(
            channels, 1)
        mean = mean.repeat_interleave(channels, 1)
        scale = scale * norm.weight.float()
        shift = norm.bias.float() - mean * scale

        def apply(rows):
            return torch.addcmul(
                shift[..., None, None], rows.float(), scale[..., None, None]
            ).to(rows.dtype)

        return apply


def run_in_strips(vae, strips):
    """Let an ``AutoencoderKL`` work in strips, in place, to predict.

    Args:
        vae (AutoencoderKL): diffusers' model, one of its sides or both.
        strips (Strips): Runs the layers.

    Raises:
        ValueError: If the model has blocks of other kinds than those of
            Stable Diffusion.
    """
    for name, run in (('encoder', strips.encode), ('decoder', strips.decode)):
        part = getattr(vae, name, None)
        if part is None:
            continue
        blocks = getattr(part, 'down_blocks' if name == 'encoder'
                         else 'up_blocks')
        kinds = {type(block).__name__ for block in blocks}
        if not kinds <= set(_BLOCKS):
            raise ValueError('run_in_strips: a VAE with '
                             f'{", ".join(sorted(kinds))} does not work in '
                             'strips.')
        part.forward = functools.partial(run, part)
