from .sd_unet import SDUNet

__all__ = ['SDUNet']
