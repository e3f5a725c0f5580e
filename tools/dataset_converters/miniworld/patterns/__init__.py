"""Random shapes in random palettes, without labels."""
from .pattern_set import build_patterns, pattern_sheet

__all__ = ['build_patterns', 'pattern_sheet']
