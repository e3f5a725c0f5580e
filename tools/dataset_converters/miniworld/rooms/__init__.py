"""Furnished rooms, path-traced and written in Hypersim's raw layout."""
from .hypersim_set import build_rooms
from .room_sheet import room_sheet

__all__ = ['build_rooms', 'room_sheet']
