"""A small drawn data set of people in the layout of COCO keypoints."""
from .coco_set import build_mini_people
from .sheet import skeleton_sheet

__all__ = ['build_mini_people', 'skeleton_sheet']
