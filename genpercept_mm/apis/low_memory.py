"""Prediction in little memory."""
import torch

from genpercept_mm.models.backbones import SDUNet
from genpercept_mm.models.utils.parts_in_turn import PartsInTurn
from genpercept_mm.models.utils.vae_strips import Strips, run_in_strips

# A map that takes more than this share of a device's memory waits in that of
# the CPU: a layer holds two of them and a strip
SHARE = 1 / 8


def large_autoencoders(network):
    """List the sides of Stable Diffusion's VAE in a network."""
    # diffusers takes seconds to import
    from diffusers import AutoencoderKL
    vaes = [getattr(part, 'vae', None)
            for part in (network.backbone, network.decode_head)]
    return [vae for vae in vaes if isinstance(vae, AutoencoderKL)]


def save_memory(network, device, strips=None):
    """Let a network predict in little memory on a device, in place.

    The VAE works in strips, and maps that are large for the device wait in
    the CPU's memory. On GPUs, the weights of VAE encoder, U-Net and head take
    turns: only those of the part that runs are on the device. Predictions are
    the same to rounding. Afterwards, the network cannot be trained, moved,
    copied or folded.

    Args:
        network (nn.Module): With an `SDUNet`, in its precision.
        device (torch.device): Where it predicts.
        strips (Strips, optional): Sizes of strips and of maps that wait.
            None lets maps wait that take more than an eighth of a GPU's
            memory. Defaults to None.

    Raises:
        ValueError: If the backbone is another one, or there are several heads.
    """
    backbone = getattr(network, 'backbone', None)
    if not isinstance(backbone, SDUNet):
        raise ValueError('low_memory: works with the backbone SDUNet, got '
                         f'{type(backbone).__name__}.')
    head = network.decode_head
    if isinstance(head, torch.nn.ModuleList):
        raise ValueError(
            f'low_memory: a {type(network).__name__} has several heads, which '
            'cannot take turns.')
    network.requires_grad_(False)
    # a model that was folded on the CPU is in channels_last, which suits CPUs
    if device.type != 'cpu':
        network.to(memory_format=torch.contiguous_format)
    if strips is None:
        strips = Strips(largest=int(torch.cuda.get_device_properties(
            device).total_memory * SHARE) if device.type == 'cuda' else None)
    for vae in large_autoencoders(network):
        run_in_strips(vae, strips)
    # MPS shares the CPU's memory, so moving weights would save nothing
    if device.type in ('cpu', 'mps'):
        network.to(device)
        return
    parts = PartsInTurn([backbone.vae, backbone.unet, head], device)
    inside = {module for part in parts.parts for module in part.modules()}
    for module in network.modules():
        if module not in inside:
            module._apply(lambda tensor: tensor.to(device), recurse=False)
    network.data_preprocessor.to(device)
    parts.begin_with(backbone, 'encode', backbone.vae)
    for method in ('run_unet', 'velocity'):
        parts.begin_with(backbone, method, backbone.unet)
    for method in ('forward', 'predict', 'decode'):
        if hasattr(head, method):
            parts.begin_with(head, method, head)
