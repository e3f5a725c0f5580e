"""Runs of one training, divided differently, compared."""
