"""Measure run time and memory, and name the machine that they belong to."""
