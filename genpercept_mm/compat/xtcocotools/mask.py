"""Masks as run lengths: the functions of `pycocotools.mask`."""
from pycocotools.mask import *  # noqa: F403
