"""Readers of file formats, whose errors name the file, and folder listing."""
