"""Measure run time and memory, and describe the machine."""
