"""mmseg's cross entropy with class weights and ignored pixels."""
from functools import wraps


def weight_ignored_pixels(module):
    """Let ``cross_entropy`` of mmseg's module take class weights.

    It looks up the weights of all labels, that of ignored pixels included:
    "index 255 is out of bounds". Here these count 0 in the mean with
    ``avg_non_ignore``, and otherwise 1, so that weights of 1 change nothing.
    """
    stock = module.cross_entropy

    @wraps(stock)
    def cross_entropy(pred, label, weight=None, class_weight=None,
                      reduction='mean', avg_factor=None, ignore_index=-100,
                      avg_non_ignore=False):
        if class_weight is not None and avg_factor is None and (
                reduction == 'mean'):
            import torch
            ignored = label == ignore_index
            weights = class_weight[torch.where(ignored, 0, label)]
            avg_factor = torch.where(
                ignored, 0. if avg_non_ignore else 1., weights).sum()
        return stock(pred, label, weight, class_weight, reduction, avg_factor,
                     ignore_index, avg_non_ignore)

    module.cross_entropy = cross_entropy
