"""How parameters are grouped for the optimizer."""
from .sd_layer_decay_constructor import SDLayerDecayOptimWrapperConstructor

__all__ = ['SDLayerDecayOptimWrapperConstructor']
