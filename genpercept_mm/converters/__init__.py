"""Weights of others into checkpoints of this package, and back."""
