"""Difference of the normals of planes through three random points."""
import torch

from genpercept_mm.registry import MODELS
from genpercept_mm.utils.step_draws import image_generators

from .dense_loss import DenseLoss
from .masking import zero_invalid

# A triple of points beyond these limits is too small, not in front of the
# camera, or too straight
MIN_DISTANCE = 0.005
MIN_DEPTH = 1e-5
MAX_COSINE = 0.867
# share of the smallest differences that is left out
DISCARDED = 0.25


@MODELS.register_module()
class VirtualNormalLoss(DenseLoss):
    """L1 difference of the normals of virtual planes.

    The pixels of a depth map are lifted into space, and any three random
    valid ones span a plane. A triple is left out if its true points are
    nearly collinear or not in front of the camera, or if along each of x, y
    and z some two of them are close together. The smallest quarter of the
    remaining differences is dropped. From Yin et al.,
    https://arxiv.org/abs/1907.12209; limits and sampling are those of
    GenPercept (https://arxiv.org/abs/2403.06090), which offers the loss but
    ships no recipe that uses it. Torch's global generator draws the triples.

    Args:
        relative_focal_length (float, optional): Focal length as a multiple of
            the map's width (0.866 for Hypersim), for calls without
            ``intrinsic``; the principal point is then the centre.
        sample_ratio (float): Triples per pixel of the map, positive.
            Defaults to 0.2.
        offset (float): Added to ``pred`` and ``target``, which are in
            [-1, 1], to put them in front of the camera; 0 for depth in
            metres. Defaults to 2.0.
        loss_weight (float): Factor of the loss. Defaults to 1.0.
        loss_name (str): Key of the loss. Defaults to 'loss_virtual_normal'.
        reduction (str): See `DenseLoss`. Defaults to 'pixel'.

    Raises:
        ValueError: If ``relative_focal_length`` or ``sample_ratio`` is not
            positive.
    """

    channels = 1

    def __init__(self, relative_focal_length=None, sample_ratio=0.2,
                 offset=2.0, loss_weight=1.0, loss_name='loss_virtual_normal',
                 reduction='pixel'):
        super().__init__(loss_weight, loss_name, reduction)
        for name, value in (('relative_focal_length', relative_focal_length),
                            ('sample_ratio', sample_ratio)):
            if value is not None and value <= 0:
                raise ValueError(f'VirtualNormalLoss: {name} must be '
                                 f'positive, got {value}.')
        self.relative_focal_length = relative_focal_length
        self.sample_ratio = sample_ratio
        self.offset = offset

    def compute_loss(self, pred, target, valid, intrinsic=None):
        """See `DenseLoss.compute_loss`.

        Maps are (N, 1, H, W) planar depth, up to ``offset``. ``intrinsic``,
        (N, 3, 3), holds camera matrices in pixels of the map, whose focal
        length along x serves for both axes; it replaces
        ``relative_focal_length``.

        Raises:
            ValueError: If no focal length is known, or ``intrinsic`` has
                another shape.
        """
        rays = self._rays(pred, intrinsic)
        pred, target = zero_invalid(
            valid, pred + self.offset, target + self.offset)
        number = int(self.sample_ratio * pred[0].numel())
        groups = []
        generators = image_generators(len(pred)) or [None] * len(pred)
        for index in range(len(pred)):
            triples = self.sample_triples(
                valid[index].flatten(), number, generators[index])
            points = [
                (depth[index].reshape(-1, 1) * rays[index])[triples]
                for depth in (pred, target)]
            keep = self.is_well_spread(points[1])
            groups.append([part[keep] for part in points])
        pred_points, target_points = (
            torch.cat(part) for part in zip(*groups))
        errors = (_plane_normals(pred_points)
                  - _plane_normals(target_points)).abs().sum(dim=1)
        errors = errors.sort().values[int(DISCARDED * len(errors)):]
        return errors.sum() / max(len(errors), 1)

    def _rays(self, pred, intrinsic):
        """Viewing rays with z = 1, (N, H * W, 3)."""
        number, _, height, width = pred.shape
        if intrinsic is None:
            if self.relative_focal_length is None:
                raise ValueError(
                    'VirtualNormalLoss: a camera is needed; pass intrinsic '
                    '(N, 3, 3) to the call or relative_focal_length to the '
                    'constructor.')
            intrinsic = pred.new_tensor([
                [self.relative_focal_length * width, 0, (width - 1) / 2],
                [0, 0, (height - 1) / 2], [0, 0, 1]]).repeat(number, 1, 1)
        elif intrinsic.shape != (number, 3, 3):
            raise ValueError(
                f'VirtualNormalLoss: intrinsic must have shape ({number}, '
                f'3, 3), got {tuple(intrinsic.shape)}.')
        camera = intrinsic.to(pred)[..., None, None]
        y, x = torch.meshgrid(
            torch.arange(height, dtype=pred.dtype, device=pred.device),
            torch.arange(width, dtype=pred.dtype, device=pred.device),
            indexing='ij')
        focal = camera[:, 0, 0]
        x = (x - camera[:, 0, 2]) / focal
        y = (y - camera[:, 1, 2]) / focal
        return torch.stack([x, y, torch.ones_like(x)], dim=-1).flatten(1, 2)

    @staticmethod
    def sample_triples(valid, number, generator=None):
        """Draw triples of valid pixels from a mask, (H * W, ) bool, by a
        generator on the CPU; None takes torch's own of the mask's device.

        Returns their indices, (M, 3) int64, where M is ``number``, or the
        number of valid pixels if that is smaller. No pixel occurs twice in a
        column.
        """
        pixels = valid.nonzero().flatten()
        device = valid.device if generator is None else 'cpu'
        return torch.stack([
            pixels[torch.randperm(len(pixels), generator=generator,
                                  device=device)[:number].to(valid.device)]
            for _ in range(3)], dim=1)

    @staticmethod
    def is_well_spread(points):
        """Return a bool mask, (M, ), of the triples of points (x, y, z),
        (M, 3, 3), that define a plane reliably."""
        sides = points[:, [1, 2, 2]] - points[:, [0, 0, 1]]
        length = sides.norm(dim=2)
        # of the nine cosines, each pair of sides has two, and each side one
        # with itself, which is 1
        cosine = (sides[:, :, None] * sides[:, None]).sum(dim=3) / (
            length[:, :, None] * length[:, None] + 1e-6)
        straight = (cosine.abs() > MAX_COSINE).sum(dim=(1, 2)) > 3
        near = (sides.abs() < MIN_DISTANCE).any(dim=1).all(dim=1)
        in_front = (points[:, :, 2] > MIN_DEPTH).all(dim=1)
        return in_front & ~near & ~straight


def _plane_normals(points):
    """Unit normals (M, 3) of triples (M, 3, 3); zero if undefined."""
    first, second, third = points.unbind(dim=1)
    normal = torch.linalg.cross(second - first, third - first)
    squares = (normal * normal).sum(dim=1, keepdim=True)
    defined = squares > 1e-24
    # the root has an infinite slope at 0
    length = torch.where(defined, squares, 1).sqrt()
    return torch.where(defined, normal / length, 0)
