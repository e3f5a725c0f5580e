"""The amount of noise at each timestep, and the timesteps to visit."""
import inspect

import torch

from genpercept_mm.utils.arguments import check_choice


class NoiseSchedule:
    """A "scaled linear" schedule with the timesteps of DDIM.

    ``beta_t`` is the square of a linear ramp from ``sqrt(beta_start)`` to
    ``sqrt(beta_end)``, and alpha-bar is the running product of ``1 - beta_t``.
    With both betas at 1, as in GenPercept, alpha-bar is 0 everywhere.

    Betas and timesteps are those of diffusers' ``DDIMScheduler``. Its
    ``step`` is not used, see `genpercept_mm.diffusion.ddim.ddim_step`.

    Args:
        beta_start (float): In (0, 1]. Defaults to 0.00085, as in Stable
            Diffusion.
        beta_end (float): In (0, 1]. Defaults to 0.012, as in Stable Diffusion.
        num_train_timesteps (int): T. Defaults to 1000.
        timestep_spacing (str): Which timesteps n steps visit: ``'leading'``,
            ``k * (T // n) + steps_offset``; ``'trailing'``, from T - 1 down in
            steps of T / n, rounded. Defaults to 'leading'.
        steps_offset (int): For ``'leading'``. Defaults to 1.
        set_alpha_to_one (bool): The last step ends at alpha-bar 1, instead
            of that of timestep 0. Defaults to False.
        rescale_betas_zero_snr (bool): Stretch the schedule so that alpha-bar
            of the last timestep is 0 (arXiv:2305.08891). Defaults to False.

    Attributes:
        alphas_cumprod (Tensor): (T, ) fp32 on the CPU, alpha-bar.
        final_alpha (Tensor): Scalar, alpha-bar at the end of the last step.
        fields (dict): The arguments.

    Raises:
        ValueError: If an argument is outside its set, or the schedule cannot
            be stretched because alpha-bar is 0 before its end.
    """

    def __init__(self, beta_start=0.00085, beta_end=0.012,
                 num_train_timesteps=1000, timestep_spacing='leading',
                 steps_offset=1, set_alpha_to_one=False,
                 rescale_betas_zero_snr=False):
        for name, beta in (('beta_start', beta_start),
                           ('beta_end', beta_end)):
            if not 0 < beta <= 1:
                raise ValueError(f'NoiseSchedule: {name} must be in (0, 1], '
                                 f'got {beta}; Stable Diffusion has 0.00085 '
                                 'to 0.012, GenPercept 1 to 1.')
        check_choice('NoiseSchedule', 'timestep_spacing', timestep_spacing,
                     ('leading', 'trailing'))
        self.fields = dict(
            beta_start=beta_start,
            beta_end=beta_end,
            num_train_timesteps=num_train_timesteps,
            timestep_spacing=timestep_spacing,
            steps_offset=steps_offset,
            set_alpha_to_one=set_alpha_to_one,
            rescale_betas_zero_snr=rescale_betas_zero_snr)
        self.num_train_timesteps = num_train_timesteps

        # diffusers takes seconds to import, so only who builds one pays
        from diffusers import DDIMScheduler
        # also where a model is built on another device
        with torch.device('cpu'):
            self._scheduler = DDIMScheduler(
                beta_schedule='scaled_linear',
                clip_sample=False,
                prediction_type='v_prediction',
                **self.fields)
        self.alphas_cumprod = self._scheduler.alphas_cumprod
        self.final_alpha = self._scheduler.final_alpha_cumprod
        if not self.alphas_cumprod.isfinite().all():
            raise ValueError(
                'NoiseSchedule: rescale_betas_zero_snr is impossible with '
                f'betas of {beta_start} to {beta_end}, as alpha-bar is 0 '
                'already; set it to False.')

    @classmethod
    def from_diffusers(cls, config):
        """Build the schedule of a diffusers scheduler.

        Args:
            config (dict): Content of ``scheduler/scheduler_config.json`` in
                a diffusers folder; missing fields take diffusers' defaults.

        Raises:
            ValueError: If the scheduler has another class, prediction type
                or beta schedule, or clips predictions.
        """
        name = config.get('_class_name', 'DDIMScheduler')
        if name != 'DDIMScheduler':
            raise ValueError(
                f'NoiseSchedule: the scheduler must be a DDIMScheduler, got '
                f'{name}; convert its config with '
                'diffusers.DDIMScheduler.from_config(...) if the model was '
                'trained for DDIM.')
        from diffusers import DDIMScheduler
        defaults = inspect.signature(DDIMScheduler).parameters
        config = {field: config.get(field, parameter.default)
                  for field, parameter in defaults.items()}
        for field, value in (('prediction_type', 'v_prediction'),
                             ('beta_schedule', 'scaled_linear'),
                             ('trained_betas', None),
                             ('clip_sample', False),
                             ('thresholding', False)):
            if config[field] != value:
                raise ValueError(
                    f'NoiseSchedule: {field} of the scheduler must be '
                    f'{value!r}, got {config[field]!r}; models trained with '
                    'that value are not supported.')
        return cls(**{field: config[field]
                      for field in inspect.signature(cls).parameters})

    def timesteps(self, num_steps):
        """List the ``num_steps`` timesteps that sampling visits, descending.
        Raises a ValueError if the number is not in 1 to T, or a timestep would
        be T or more."""
        if not (isinstance(num_steps, int)
                and 1 <= num_steps <= self.num_train_timesteps):
            raise ValueError('NoiseSchedule: num_steps must be an integer in '
                             f'1..{self.num_train_timesteps}, got '
                             f'{num_steps!r}.')
        self._scheduler.set_timesteps(num_steps)
        # with 'trailing', rounding errors can append one more
        timesteps = self._scheduler.timesteps.tolist()[:num_steps]
        if timesteps[0] >= self.num_train_timesteps:
            raise ValueError(
                f'NoiseSchedule: num_steps={num_steps} with steps_offset='
                f'{self.fields["steps_offset"]} would visit timestep '
                f'{timesteps[0]}, but the last one is '
                f'{self.num_train_timesteps - 1}; use fewer steps, or '
                "timestep_spacing='trailing'.")
        return timesteps

    def alpha(self, timesteps):
        """Look up alpha-bar: a scalar for one timestep, and (N, 1, 1, 1) for a
        tensor of timesteps, (N, )."""
        if isinstance(timesteps, torch.Tensor) and timesteps.dim():
            alphas = self.alphas_cumprod.to(timesteps.device)
            return alphas[timesteps].reshape(-1, 1, 1, 1)
        return self.alphas_cumprod[int(timesteps)]

    def previous_alpha(self, timestep, num_steps):
        """Look up alpha-bar, a scalar, at the end of a step.

        As in diffusers, the end is ``T // num_steps`` timesteps earlier, even
        for trailing timesteps, which are slightly farther apart if
        ``num_steps`` does not divide T. Before timestep 0, alpha-bar is
        ``final_alpha``.
        """
        previous = timestep - self.num_train_timesteps // num_steps
        return self.alpha(previous) if previous >= 0 else self.final_alpha
