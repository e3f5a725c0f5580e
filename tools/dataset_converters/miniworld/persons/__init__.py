"""Drawn people in the layout of COCO keypoints."""
from .coco_set import build_persons
from .skeleton_sheet import skeleton_sheet

__all__ = ['build_persons', 'skeleton_sheet']
