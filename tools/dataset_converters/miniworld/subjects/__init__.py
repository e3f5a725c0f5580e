"""Small path-traced data sets in the layouts of P3M-10k and DIS5K.

Importing this needs no renderer; Mitsuba is imported when a frame is
rendered.
"""
from .build_sets import build_mini_objects, preview_sheet

__all__ = ['build_mini_objects', 'preview_sheet']
