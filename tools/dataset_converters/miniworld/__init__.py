"""Small data sets to try everything on: rooms, subjects and persons.

Importing this needs no renderer; Mitsuba is imported when a frame is
rendered.
"""
