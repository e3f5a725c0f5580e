"""From Marigold to GenPercept: one family of protocols."""
import inspect

import torch

from genpercept_mm.utils.arguments import check_choice
from genpercept_mm.utils.step_draws import image_generators

from .ddim import add_noise, ddim_step, velocity_target
from .noise import annealed_strength, gaussian_noise, multi_resolution_noise
from .schedule import NoiseSchedule

LATENT_CHANNELS = 4

PROTOCOLS = dict(
    # Ke et al., arXiv:2312.02145; steps as in GenPercept's ablations
    marigold=dict(noise='gaussian', multi_res=0.9, annealed=True),
    # Lee et al., arXiv:2311.18832, as in GenPercept's ablations
    dmp=dict(noise='image'),
    # GenPercept, arXiv:2403.06090
    one_step=dict(
        noise='image', num_steps=1,
        schedule=dict(beta_start=1., beta_end=1.)))


class DiffusionProtocol:
    """How a latent diffusion model is trained and run for a dense task.

    This is the paper's argument (section 3.1) in code: one-step perception
    is multi-step diffusion at a corner of its parameter space. The label's
    latent is mixed with noise, which is either Gaussian or the image's
    latent, and the network predicts the velocity.

    ============  ===========  ==============  ==============  =====
    name          noise        betas           input channels  steps
    ============  ===========  ==============  ==============  =====
    ``marigold``  Gaussian     0.00085, 0.012  8, image first  10
    ``dmp``       image        0.00085, 0.012  4               10
    ``one_step``  image        1, 1            4               1
    ============  ===========  ==============  ==============  =====

    With both betas at 1, alpha-bar is 0: the noisy sample is the noise, the
    velocity is minus the label, and a DDIM step returns to the noise. If the
    noise is the image, every step has the same input, and the last one alone
    determines the result: any number of steps is equivalent to one.

    Args:
        noise (str): ``'gaussian'``: the network sees the image's latent and
            the noisy sample, concatenated; ``'image'``: it sees the noisy
            sample only. Defaults to 'gaussian'.
        multi_res (float): Strength, in [0, 1], of low frequencies in the
            Gaussian noise of training, see `multi_resolution_noise`; 0 is
            plain noise. Sampling always starts from plain noise. Defaults
            to 0.
        annealed (bool): Reduce this strength at small timesteps, see
            `annealed_strength`. Defaults to True.
        num_steps (int): Number of sampling steps. Defaults to 10.
        decode (str): Which latent is the result: ``'clean'``, the clean
            sample that the last step predicts, as in GenPercept's ablations,
            or ``'sample'``, the sample at which it ends, as in Marigold's
            and diffusers' pipelines. Defaults to 'clean'.
        schedule (dict, optional): Arguments of `NoiseSchedule`. Defaults to
            None (Stable Diffusion's).

    Attributes:
        schedule (NoiseSchedule): Built from the argument.
        stochastic (bool): Results depend on a random draw.
        concat (bool): The network's input is the image's latent and the
            noisy sample, in this order.
        in_channels (int): Channels of the network's input, 8 or 4.
        is_one_step (bool): Any number of steps is equivalent to one.

    Raises:
        ValueError: If an argument is outside its set or contradicts another,
            or the result would be the noise that sampling starts from.
    """

    def __init__(self, noise='gaussian', multi_res=0., annealed=True,
                 num_steps=10, decode='clean', schedule=None):
        name = 'DiffusionProtocol'
        check_choice(name, 'noise', noise, ('gaussian', 'image'))
        check_choice(name, 'decode', decode, ('clean', 'sample'))
        if not 0 <= multi_res <= 1:
            raise ValueError('DiffusionProtocol: multi_res must be in '
                             f'[0, 1], got {multi_res}.')
        if multi_res and noise == 'image':
            raise ValueError('DiffusionProtocol: multi_res shapes Gaussian '
                             "noise; set it to 0 with noise='image'.")
        self.noise = noise
        self.multi_res = multi_res
        self.annealed = annealed
        self.num_steps = num_steps
        self.decode = decode
        self.schedule = NoiseSchedule(**(schedule or {}))
        self._plans = {}
        self.schedule.timesteps(num_steps)
        if decode == 'sample' and self.schedule.final_alpha == 0:
            raise ValueError(
                "DiffusionProtocol: decode='sample' would decode the noise "
                "itself if betas are 1; set decode='clean'.")

        fields = self.schedule.fields
        self.stochastic = self.concat = noise == 'gaussian'
        self.in_channels = LATENT_CHANNELS * (2 if self.concat else 1)
        self.is_one_step = noise == 'image' and (
            fields['beta_start'] == fields['beta_end'] == 1)
        if self.is_one_step and (
                fields['timestep_spacing'] != 'leading'
                or fields['steps_offset'] != 1):
            raise ValueError(
                'DiffusionProtocol: a protocol of one step runs at '
                "backbone.timestep; set that, and leave timestep_spacing="
                "'leading' and steps_offset=1.")

    def training_pair(self, image, label, timesteps, generator=None):
        """Make the network's input and target.

        Args:
            image (Tensor): (N, 4, h, w), latents of the images, scaled.
            label (Tensor): (N, 4, h, w), latents of the labels, scaled.
            timesteps (int | Tensor): One for all, or (N, ).
            generator (torch.Generator, optional): Draws the noise, see
                `gaussian_noise`. None takes those of `step_draws`, if it is
                open.

        Returns:
            tuple[Tensor, Tensor, Tensor, Tensor]: The network's input
            (N, 8 or 4, h, w) in the dtype of ``image``; then, in fp32 at
            least, the velocity (N, 4, h, w) to predict, the noisy sample
            (N, 4, h, w), and alpha-bar, (N or 1, 1, 1, 1).
        """
        clean = _at_least_fp32(label)
        if generator is None and self.stochastic:
            generator = image_generators(len(label))
        if not self.stochastic:
            noise = _at_least_fp32(image)
        elif self.multi_res:
            strength = self.multi_res
            if self.annealed:
                strength = annealed_strength(
                    timesteps, strength, self.schedule.num_train_timesteps)
            noise = multi_resolution_noise(
                label.shape, strength, generator, label.device, clean.dtype)
        else:
            noise = gaussian_noise(
                label.shape, generator, label.device, clean.dtype)
        # a scalar would let predictions in fp16 stay in it
        alpha = self.schedule.alpha(timesteps).reshape(-1, 1, 1, 1).to(
            label.device)
        sample = add_noise(clean, noise, alpha)
        return (self._network_input(image, sample),
                velocity_target(clean, noise, alpha), sample, alpha)

    @torch.no_grad()
    def sample(self, predict, image, generator=None, noise=None,
               num_steps=None, timesteps=None):
        """Run the network step by step.

        Args:
            predict (callable): Called with the network's input
                (N, 8 or 4, h, w) and a timestep (int); returns the velocity
                (N, 4, h, w).
            image (Tensor): (N, 4, h, w), latents of the images, scaled.
            generator (torch.Generator, optional): Draws the initial noise,
                see `gaussian_noise`. Defaults to None.
            noise (Tensor, optional): (N, 4, h, w), the initial noise itself.
                Defaults to None, which draws it.
            num_steps (int, optional): None takes the protocol's.
            timesteps (Sequence[int], optional): Timesteps to visit, in this
                order, instead of those of the schedule. Defaults to None.

        Returns:
            Tensor: (N, 4, h, w), the latent to decode, scaled, in the dtype
            of ``image``.

        Raises:
            ValueError: If ``noise`` is given where the image is the noise,
                or both ``num_steps`` and ``timesteps`` are.
        """
        if noise is not None and not self.stochastic:
            raise ValueError("DiffusionProtocol: with noise='image' sampling "
                             'starts from the image; do not pass noise.')
        if num_steps is not None and timesteps is not None:
            raise ValueError('DiffusionProtocol: num_steps and timesteps both'
                             ' determine the steps; pass only one of them.')
        if timesteps is None:
            steps = self._plan(
                self.num_steps if num_steps is None else num_steps)
        else:
            alphas = [self.schedule.alpha(t) for t in timesteps]
            steps = zip(timesteps, alphas, [
                *alphas[1:], self.schedule.final_alpha])
        if not self.stochastic:
            noise = image
        elif noise is None:
            noise = gaussian_noise(image.shape, generator, image.device)
        sample = _at_least_fp32(noise)
        for timestep, alpha, end in steps:
            velocity = predict(self._network_input(image, sample), timestep)
            sample, clean = ddim_step(
                sample, velocity.to(sample.dtype), alpha, end)
        result = clean if self.decode == 'clean' else sample
        return result.to(image.dtype)

    def _plan(self, num_steps):
        """List timesteps with their alpha-bars, before and after. They are
        kept, as a traced model cannot compute them."""
        if num_steps not in self._plans:
            self._plans[num_steps] = [
                (t, self.schedule.alpha(t),
                 self.schedule.previous_alpha(t, num_steps))
                for t in self.schedule.timesteps(num_steps)]
        return self._plans[num_steps]

    def _network_input(self, image, sample):
        sample = sample.to(image.dtype)
        return torch.cat([image, sample], dim=1) if self.concat else sample


def build_protocol(cfg):
    """Make a protocol from its name.

    Args:
        cfg (str | dict | DiffusionProtocol): ``'marigold'``, ``'dmp'`` or
            ``'one_step'``; or a dict with this name as ``type`` and the
            arguments of `DiffusionProtocol` to change. It may also hold the
            arguments of `NoiseSchedule`, beside or in ``schedule``. A
            protocol is returned as it is.

    Raises:
        TypeError: If ``cfg`` is something else.
        ValueError: If the name or an argument is unknown.

    Examples:
        >>> protocol = build_protocol(dict(type='marigold', num_steps=4))
        >>> protocol.schedule.timesteps(protocol.num_steps)
        [751, 501, 251, 1]
    """
    if isinstance(cfg, DiffusionProtocol):
        return cfg
    if not isinstance(cfg, (str, dict)):
        raise TypeError('DiffusionProtocol: protocol must be a name or a dict,'
                        f' got {cfg!r} ({type(cfg).__name__}).')
    changes = dict(type=cfg) if isinstance(cfg, str) else dict(cfg)
    name = changes.pop('type', None)
    check_choice('DiffusionProtocol', 'type', name, sorted(PROTOCOLS))
    base = PROTOCOLS[name]
    schedule = dict(base.get('schedule', {}), **changes.pop('schedule', {}))
    schedule.update({field: changes.pop(field) for field in
                     inspect.signature(NoiseSchedule).parameters
                     if field in changes})
    for owner, given in ((DiffusionProtocol, changes),
                         (NoiseSchedule, schedule)):
        known = list(inspect.signature(owner).parameters)
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise ValueError(f'{owner.__name__}: unexpected argument(s) '
                             f'{unknown}; it takes {known}.')
    return DiffusionProtocol(**{**base, **changes, 'schedule': schedule})


def _at_least_fp32(values):
    return values.to(torch.promote_types(values.dtype, torch.float32))
