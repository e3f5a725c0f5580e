"""Importable under this name until its last users are moved."""
from .io.hypersim_io import *  # noqa: F401, F403
