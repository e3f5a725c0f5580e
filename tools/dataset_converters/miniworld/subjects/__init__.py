"""Subjects in rooms, path-traced, in the layouts of P3M-10k and DIS5K."""
from .pair_sets import build_subjects
from .subject_sheet import subject_sheet

__all__ = ['build_subjects', 'subject_sheet']
