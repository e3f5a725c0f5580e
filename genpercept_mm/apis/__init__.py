"""What a user calls from Python.

The home of ``DenseInferencer``, ``list_models``, ``get_model``, ``init_model``
and ``calibrate``.
"""
