from .dense_local_visualizer import DenseLocalVisualizer

__all__ = ['DenseLocalVisualizer']
