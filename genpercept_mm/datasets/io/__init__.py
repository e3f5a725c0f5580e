"""Readers of file formats, and the listing of folders.

A module reads one family of formats. Errors name the file.
"""
