"""GenPercept for OpenMMLab: a Stable Diffusion U-Net as a dense backbone.

Importing the package has one side effect, `compat.apply`: what newer torch
and missing mmcv ops need is put in place before the host's models load.
Components register themselves when a config first asks for one.
"""
from .compat import apply
from .version import __version__

apply()

__all__ = ['__version__']
