from .tiny_autoencoder_distiller import TinyAutoencoderDistiller

__all__ = ['TinyAutoencoderDistiller']
