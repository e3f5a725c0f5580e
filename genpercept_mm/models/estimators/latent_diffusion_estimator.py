"""A segmentor that predicts a dense quantity in several diffusion steps."""
import os.path as osp

import torch
from mmseg.utils import add_prefix

from genpercept_mm.diffusion import (
    gaussian_noise,
    image_generator,
    split_velocity,
)
from genpercept_mm.diffusion.ensembling import ENSEMBLES
from genpercept_mm.registry import MODELS

from .dense_estimator import SAMPLING_FIELDS, DenseEstimator


@MODELS.register_module()
class LatentDiffusionEstimator(DenseEstimator):
    """Run the U-Net on latents step by step, as Marigold and DMP do.

    The head must decode latents (`VAEDecodeHead`), and the backbone must
    have the predicted latent among its outputs. Training draws timesteps as
    the backbone's ``train_timestep`` says: the head's ``loss_latent``
    compares the velocity, and ``loss_decode`` the clean latent that follows
    from the velocity. With betas of 1 and the image as noise, this estimator
    and `DenseEstimator` are mathematically the same, and on the same weights
    they agree to rounding.

    ``test_cfg`` has these fields beside those of `DenseEstimator`:

    - ``num_steps``: Number of sampling steps. Default: the protocol's.
    - ``seed``: Seed of the noise that sampling starts from. The noise
      depends only on the seed and the image's name (``sample_name``, or else
      its file name), not on other images. Default 0.
    - ``ensemble_size``: Number of predictions from different noise, which
      the codec's ``ensembling`` merges. They run in one batch, which is this
      many times larger. Default 1.
    - ``uncertainty``: Add the spread of an ensemble to the data samples, as
      ``pred_<quantity>_uncertainty_map`` (1, H, W), see
      `genpercept_mm.diffusion.ensembling`; only in mode ``'whole'``. Default
      False.

    Args:
        backbone (dict): `SDUNet` with the predicted latent in
            ``out_indices``, and the ``in_channels`` of the protocol.
        decode_head (dict): `VAEDecodeHead`.
        protocol (str | dict): ``'marigold'``, ``'dmp'``, ``'one_step'``, or
            a dict with this name as ``type`` and arguments to change, see
            `genpercept_mm.diffusion.build_protocol`. Defaults to 'one_step',
            as in `DenseEstimator`.
        **kwargs: Other arguments of `DenseEstimator`.

    Raises:
        TypeError: If the head has no codec.
        ValueError: If ``test_cfg`` has other fields or values, or backbone,
            head and protocol do not fit together.
    """

    test_fields = (*DenseEstimator.test_fields, *SAMPLING_FIELDS)

    def __init__(self, backbone, decode_head, protocol='one_step', **kwargs):
        super().__init__(backbone, decode_head, protocol=protocol, **kwargs)
        self._check_latents()
        self._check_sampling()

    def _check_latents(self):
        head, backbone = self.decode_head, self.backbone
        if not hasattr(head, 'decode'):
            raise ValueError(
                f'{self._name}: a {type(head).__name__} does not decode '
                'latents; set decode_head to a genpercept_mm.VAEDecodeHead, '
                'or use a genpercept_mm.DenseEstimator, which runs one step '
                'with any dense head.')
        if not getattr(backbone, 'predicts_latent', False):
            raise ValueError(
                f'{self._name}: the backbone must be a genpercept_mm.SDUNet '
                'that outputs the predicted latent; set out_indices=(4, ).')
        if backbone.timestep != 1:
            raise ValueError(
                f'{self._name}: sampling visits the timesteps of its schedule'
                f', not backbone.timestep, got {backbone.timestep}. Leave it '
                'at 1, and set backbone.train_timestep for training.')
        if self.with_neck or self.with_auxiliary_head:
            raise ValueError(f'{self._name}: a neck or an auxiliary_head '
                             'cannot read latents; remove them.')
        num_timesteps = self.protocol.schedule.num_train_timesteps
        if num_timesteps != 1000:
            raise ValueError(
                f'{self._name}: num_train_timesteps of the protocol must be '
                f'1000, as in Stable Diffusion, got {num_timesteps}.')

    def _check_sampling(self):
        """Check whether ``test_cfg`` fits the protocol."""
        self.num_steps = self.test_cfg.get('num_steps')
        if self.num_steps is None:
            self.num_steps = self.protocol.num_steps
        self.protocol.schedule.timesteps(self.num_steps)
        size = self.ensemble_size = self.test_cfg.get('ensemble_size', 1)
        if not (isinstance(size, int) and size >= 1):
            raise ValueError(f'{self._name}: test_cfg.ensemble_size must be '
                             f'a positive integer, got {size!r}.')
        if size > 1 and not self.protocol.stochastic:
            raise ValueError(
                f'{self._name}: test_cfg.ensemble_size={size} is pointless '
                'with a deterministic protocol, as all members would be '
                "equal; set it to 1, or use protocol='marigold'.")
        if size > 1 and self.codec.ensembling is None:
            raise ValueError(
                f'{self._name}: outputs of {type(self.codec).__name__} '
                'cannot be averaged; set test_cfg.ensemble_size=1.')
        self.uncertainty = bool(self.test_cfg.get('uncertainty'))
        if self.uncertainty and size == 1:
            raise ValueError(
                f'{self._name}: test_cfg.uncertainty is the spread of an '
                'ensemble; set ensemble_size to at least 2.')
        if self.uncertainty and self.test_cfg['mode'] == 'slide':
            raise ValueError(
                f'{self._name}: test_cfg.uncertainty is not defined across '
                "windows; set mode='whole', or uncertainty=False.")

    def _deploy_options(self, part):
        visited = self.protocol.schedule.timesteps(self.num_steps)
        return dict(fold_timestep=visited == [self.backbone.timestep]) if (
            part is self.backbone) else {}

    def _latent_is_read_once(self):
        # the protocol reads it
        return False

    def loss(self, inputs, data_samples):
        """Compute the losses of a batch.

        Args:
            inputs (Tensor): (N, 3, H, W) from the data preprocessor.
            data_samples (list[SegDataSample]): With targets.

        Returns:
            dict[str, Tensor]: Losses by name.

        Raises:
            ValueError: If there is no loss or no target, or if training
                would see one timestep, but testing visits others.
        """
        backbone = self.backbone
        image = backbone.encode(inputs)
        label, mask = self.encode_targets(data_samples)
        timesteps = backbone.draw_timesteps(len(image), image.device)
        visited = self.protocol.schedule.timesteps(self.num_steps)
        if isinstance(timesteps, int) and visited != [timesteps]:
            raise ValueError(
                f'{self._name}: only timestep {timesteps} would be trained, '
                f'but testing visits {visited}; set backbone.'
                "train_timestep='random'"
                + (f', or {visited[0]}.' if len(visited) == 1 else '.'))
        unet_input, target, sample, alpha = self.protocol.training_pair(
            image, label, timesteps)
        velocity = self._velocity(unet_input, timesteps)
        clean, _ = split_velocity(sample, velocity, alpha)
        losses = self.decode_head.loss_by_latent(
            clean, data_samples, velocity, target, mask)
        return add_prefix(losses, 'decode')

    def _velocity(self, latents, timesteps):
        """Run the U-Net and return the velocity (N, 4, h, w).

        A U-Net that predicts the clean sample determines it. One that was
        pretrained to predict noise is fine-tuned to predict velocities.
        """
        output = self.backbone.velocity(latents, timesteps)
        if self.backbone.prediction_type != 'sample':
            return output
        # the noisy sample comes last
        sample = latents[:, -output.shape[1]:].float()
        alpha = self.protocol.schedule.alpha(timesteps).reshape(
            -1, 1, 1, 1).to(sample)
        return (alpha.sqrt() * sample - output.float()) / (1 - alpha).sqrt()

    def encode_decode(self, inputs, batch_img_metas):
        """Compute the head's output for each member of an ensemble.

        Images (N, 3, H, W) give (N E, C, about H, about W) for ensembles of E,
        not clipped; the members of an image stand together. The names in
        ``batch_img_metas``, if given, determine the noise.
        """
        image = self.backbone.encode(inputs)
        noise = None
        if self.protocol.stochastic:
            shape = self.ensemble_size, *image.shape[1:]
            metas = batch_img_metas or [{}] * len(image)
            noise = torch.cat([
                gaussian_noise(shape, image_generator(
                    self.test_cfg.get('seed', 0), _image_name(meta)),
                    image.device)
                for meta in metas])
            image = image.repeat_interleave(self.ensemble_size, dim=0)
        latent = self.protocol.sample(
            self._velocity, image, noise=noise,
            num_steps=self.num_steps)
        return self.decode_head.decode(latent)

    def _infer_whole(self, inputs, metas):
        maps = super()._infer_whole(inputs, metas)
        if self.ensemble_size == 1:
            return maps
        outputs, spreads = zip(*(
            ENSEMBLES[self.codec.ensembling](members, self.uncertainty)
            for members in maps['output'].split(self.ensemble_size)))
        merged = dict(output=torch.stack(outputs))
        if self.uncertainty:
            merged['uncertainty'] = torch.stack(spreads)
        return merged

    def _fields(self, maps):
        fields = super()._fields(maps)
        if 'uncertainty' in maps:
            fields[self.codec.uncertainty_field] = maps['uncertainty'][0]
        return fields


def _image_name(meta):
    """Give the image's name or None; its folder may move and is left out."""
    return meta.get('sample_name') or osp.basename(
        meta.get('img_path') or '') or None
