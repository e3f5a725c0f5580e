from .load_hypersim_image import LoadHypersimImage
from .load_hypersim_semantic import LoadHypersimSemantic
from .load_seg_label import LoadSegLabel

__all__ = ['LoadHypersimImage', 'LoadHypersimSemantic', 'LoadSegLabel']
