"""A small path-traced data set in Hypersim's raw layout.

Importing this needs no renderer; Mitsuba is imported when a frame is
rendered.
"""
from .build import build_mini_hypersim, preview_sheet

__all__ = ['build_mini_hypersim', 'preview_sheet']
