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

    It needs a head that decodes latents (`VAEDecodeHead`) and a backbone with
    the predicted latent among its outputs. It learns the velocity at the
    backbone's ``train_timestep`` by the head's ``loss_latent``, and by
    ``loss_decode`` from the clean latent that follows from the velocity.
    Where both estimators are the same mathematics, with betas of 1 and the
    image as noise, they agree to rounding on the same weights.

    ``test_cfg`` has these fields beside those of `DenseEstimator`:

    - ``num_steps``: Defaults to the protocol's.
    - ``seed``: Seed of the noise that sampling starts from. The noise
      depends on the seed and the name of the image (``sample_name``, else
      that of its file) alone, not on what else is in the batch or came
      before. Default 0.
    - ``ensemble_size``: Number of predictions from different noise, which
      are merged as the codec's ``ensembling`` says. They run in one batch of
      this many times the images. Default 1.
    - ``uncertainty``: Add the spread of an ensemble to the data samples, as
      ``pred_<quantity>_uncertainty_map`` (1, H, W), see
      `genpercept_mm.diffusion.ensembling`; only in mode ``'whole'``. Default
      False.

    Args:
        backbone (dict): `SDUNet` with the predicted latent in
            ``out_indices``, and ``in_channels`` as the protocol needs.
        decode_head (dict): `VAEDecodeHead`.
        protocol (str | dict): ``'marigold'``, ``'dmp'``, ``'one_step'``, or
            a dict with that as ``type`` and fields to change, see
            `genpercept_mm.diffusion.DiffusionProtocol`. Defaults to
            'marigold'.
        **kwargs: Other arguments of `DenseEstimator`.

    Raises:
        TypeError: If the head has no codec.
        ValueError: If ``test_cfg`` is not as above, or backbone and head do
            not fit the protocol.
    """

    test_fields = (*DenseEstimator.test_fields, *SAMPLING_FIELDS)

    def __init__(self, backbone, decode_head, protocol='marigold', **kwargs):
        super().__init__(backbone, decode_head, protocol=protocol, **kwargs)
        self._check_latents()
        self._check_sampling()

    def _check_latents(self):
        head, backbone = self.decode_head, self.backbone
        if not hasattr(head, 'decode'):
            raise ValueError(
                f'{self._name}: a {type(head).__name__} does not decode '
                'latents; set decode_head to a genpercept_mm.VAEDecodeHead, '
                'or use genpercept_mm.DenseEstimator, which runs one step '
                'with any dense head.')
        if not getattr(backbone, 'predicts_latent', False):
            raise ValueError(
                f'{self._name}: needs the predicted latent; set backbone.'
                'out_indices of genpercept_mm.SDUNet to (4, ).')
        if backbone.timestep != 1:
            raise ValueError(
                f'{self._name}: visits the timesteps of its schedule, not '
                f'backbone.timestep, got {backbone.timestep}. Leave it at 1, '
                'and set backbone.train_timestep for training.')
        if self.with_neck or self.with_auxiliary_head:
            raise ValueError(f'{self._name}: runs on latents, which a neck '
                             'or an auxiliary_head cannot read; remove them.')
        num_timesteps = self.protocol.schedule.num_train_timesteps
        if num_timesteps != 1000:
            raise ValueError(
                f'{self._name}: num_train_timesteps of the protocol must be '
                f"1000, as Stable Diffusion's, got {num_timesteps}.")

    def _check_sampling(self):
        """Check whether ``test_cfg`` fits the protocol."""
        cfg = self.test_cfg
        num_steps = cfg.get('num_steps')
        if num_steps is not None:
            self.protocol.schedule.timesteps(num_steps)
        self.num_steps = (
            self.protocol.num_steps if num_steps is None else num_steps)
        self.ensemble_size = cfg.get('ensemble_size', 1)
        if not (isinstance(self.ensemble_size, int)
                and self.ensemble_size >= 1):
            raise ValueError(f'{self._name}: test_cfg.ensemble_size must be '
                             'a positive integer, got '
                             f'{self.ensemble_size!r}.')
        if self.ensemble_size > 1 and not self.protocol.stochastic:
            raise ValueError(
                f'{self._name}: test_cfg.ensemble_size={self.ensemble_size} '
                'is pointless with a deterministic protocol, as all members '
                "would be equal; set it to 1, or use protocol='marigold'.")
        if self.ensemble_size > 1 and self.codec.ensembling is None:
            raise ValueError(
                f'{self._name}: outputs of {type(self.codec).__name__} '
                'cannot be averaged; set test_cfg.ensemble_size=1.')
        if cfg.get('uncertainty'):
            if self.ensemble_size == 1:
                raise ValueError(
                    f'{self._name}: test_cfg.uncertainty is the spread of '
                    'an ensemble; set ensemble_size to at least 2.')
            if cfg['mode'] == 'slide':
                raise ValueError(
                    f'{self._name}: test_cfg.uncertainty is not defined '
                    "across windows; set mode='whole', or uncertainty=False."
                )

    def loss(self, inputs, data_samples):
        """Compute the losses of a batch.

        Args:
            inputs (Tensor): (N, 3, H, W) from the data preprocessor.
            data_samples (list[SegDataSample]): With targets.

        Returns:
            dict[str, Tensor]: Losses by name.

        Raises:
            ValueError: If there is no loss or no target, or if training
                would see one timestep and testing visit others.
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
        velocity = backbone.velocity(unet_input, timesteps)
        clean, _ = split_velocity(sample, velocity, alpha)
        losses = self.decode_head.loss_by_latent(
            clean, data_samples, velocity, target, mask)
        return add_prefix(losses, 'decode')

    def encode_decode(self, inputs, batch_img_metas):
        """Compute the head's output for each member of an ensemble.

        Args:
            inputs (Tensor): (N, 3, H, W).
            batch_img_metas (list[dict] | None): Names for the noise.

        Returns:
            Tensor: (N, C, about H, about W), not clipped; with an ensemble
            of E, (N E, C, about H, about W), members of an image together.
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
            self.backbone.velocity, image, noise=noise,
            num_steps=self.num_steps)
        return self.decode_head.decode(latent)

    def _infer_whole(self, inputs, metas):
        maps = super()._infer_whole(inputs, metas)
        if self.ensemble_size == 1:
            return maps
        uncertainty = bool(self.test_cfg.get('uncertainty'))
        pairs = [ENSEMBLES[self.codec.ensembling](members, uncertainty)
                 for members in maps['output'].split(self.ensemble_size)]
        merged = dict(output=torch.stack([output for output, _ in pairs]))
        if uncertainty:
            merged['uncertainty'] = torch.stack(
                [spread for _, spread in pairs])
        return merged

    def _fields(self, maps):
        fields = super()._fields(maps)
        if 'uncertainty' in maps:
            fields[self.codec.uncertainty_field] = maps['uncertainty'][0]
        return fields


def _image_name(meta):
    """Name of an image, if it has one; not its folder, which may move."""
    return meta.get('sample_name') or osp.basename(
        meta.get('img_path') or '') or None
