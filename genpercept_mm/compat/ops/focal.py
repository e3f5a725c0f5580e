"""Focal losses and their derivatives."""
import torch
import torch.nn.functional as F

from .common import compute_dtype


def _class_weights(target, weight, classes):
    """Look up (M,) weights; 1 for no weights and for the background label."""
    if weight.numel() == 0:
        weight = weight.new_ones(classes)
    weight = F.pad(weight, (0, 1), value=1.)
    known = (target >= 0) & (target < classes)
    return weight[torch.where(known, target, classes)]


def _positives(input, target):
    classes = torch.arange(input.shape[1], device=input.device)
    return target[:, None] == classes


def sigmoid_focal_loss_forward(input, target, weight, output, gamma, alpha):
    """Compute the focal loss (M, classes) of each logit.

    With p the sigmoid of a logit it is -alpha (1 - p)^gamma log(p) for the
    class of the label and -(1 - alpha) p^gamma log(1 - p) for the others.
    Label ``classes`` is the background; its weight, for which mmcv reads past
    the end, is 1. The logarithms are taken of the logit, so the loss of a
    confident wrong logit is not cut off at 87 as in mmcv's CUDA code.
    """
    logits = input.to(compute_dtype(input))
    p = logits.sigmoid()
    positive = -alpha * (1 - p)**gamma * F.logsigmoid(logits)
    negative = -(1 - alpha) * p**gamma * F.logsigmoid(-logits)
    loss = torch.where(_positives(input, target), positive, negative)
    factor = _class_weights(target, weight, input.shape[1])
    output.copy_(loss * factor[:, None])


def sigmoid_focal_loss_backward(input, target, weight, grad_input, gamma,
                                alpha):
    """Write the derivative of each loss with respect to its own logit."""
    logits = input.to(compute_dtype(input))
    p = logits.sigmoid()
    positive = -alpha * (1 - p)**gamma * (
        1 - p - gamma * p * F.logsigmoid(logits))
    negative = -(1 - alpha) * p**gamma * (
        gamma * (1 - p) * F.logsigmoid(-logits) - p)
    grad = torch.where(_positives(input, target), positive, negative)
    factor = _class_weights(target, weight, input.shape[1])
    grad_input.copy_(grad * factor[:, None])


def _label_probability(softmax, target):
    """Pick (M,) probabilities of the labels; 1, so no loss, outside."""
    label = target.clamp(0, softmax.shape[1] - 1)[:, None]
    p = softmax.to(compute_dtype(softmax)).gather(1, label)[:, 0]
    return torch.where((target >= 0) & (target < softmax.shape[1]), p, 1.)


def softmax_focal_loss_forward(input, target, weight, output, gamma, alpha):
    """Compute the focal loss (M,) of each row of probabilities: with p that of
    the label, -alpha (1 - p)^gamma log(p), or 0 if it is not a class."""
    p = _label_probability(input, target)
    log_p = p.clamp(min=torch.finfo(torch.float32).tiny).log()
    factor = _class_weights(target, weight, input.shape[1])
    output.copy_(-alpha * (1 - p)**gamma * log_p * factor)


def softmax_focal_loss_backward(input, target, weight, buff, grad_input, gamma,
                                alpha):
    """Write the derivative of each loss with respect to its row of logits.

    ``buff`` (M,) receives the derivative by the label's logit over 1 - p.
    """
    p = _label_probability(input, target)
    log_p = p.clamp(min=torch.finfo(torch.float32).tiny).log()
    # log(p) / (1 - p) tends to -1, which keeps gamma < 1 finite at p = 1.
    ratio = torch.where(p < 1, log_p / (1 - p), -1.)
    slope = alpha * (1 - p)**gamma * (gamma * p * ratio - 1)
    slope = slope * _class_weights(target, weight, input.shape[1])
    known = (target >= 0) & (target < input.shape[1])
    slope = torch.where(known, slope, 0.)
    buff.copy_(slope)
    grad_input.copy_(slope[:, None] * (_positives(input, target).to(slope) -
                                       input.to(slope)))
