"""Stable Diffusion's U-Net as a backbone for dense prediction."""
import math

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import nn
from torch.utils.checkpoint import checkpoint

from genpercept_mm.registry import MODELS
from genpercept_mm.utils.arguments import check_choice
from genpercept_mm.utils.step_draws import image_generators

from ..utils import folding
from ..utils.diffusers_folder import (
    TEXT_PARTS,
    local_file,
    local_folder,
    read_file,
    read_json,
)
from ..utils.pretrained_parts import (
    check_checkpoint,
    load_part,
    load_parts,
    require_weights,
)
from ..utils.prompt_embedding import embed_prompt, read_prompt_embeds
from ..utils.sd_archs import PREDICTION_TYPES, resolve_arch
from ..utils.tiny_autoencoder import (
    STRIDE,
    TINY_ARCHS,
    build_tiny,
    encode_tiny,
    load_tiny,
)

NUM_TIMESTEPS = 1000
LORA_TARGETS = ['to_q', 'to_k', 'to_v', 'to_out.0']


@MODELS.register_module()
class SDUNet(BaseModule):
    """One deterministic step of Stable Diffusion as a backbone.

    The VAE encodes the image, and the U-Net runs once on the clean image
    latent, at a fixed timestep and with the empty prompt (GenPercept,
    arXiv:2403.06090, section 3). There is no text encoder; its output is the
    buffer ``prompt_embeds``. Protocols of several steps (Marigold, DMP) use
    `velocity`, see `LatentDiffusionEstimator`.

    Note:
        - N: images in a batch; H, W: image height and width
        - h, w: latent cells, floor(H / 8) and floor(W / 8); with a small stem
          ceil(H / 8) and ceil(W / 8)

    ===========  ====================  =============  ============  =========
    out_indices  feature (SD 1.5, 2.1) post_upsample  pre_upsample  pyramid
    ===========  ====================  =============  ============  =========
    0            up_blocks.3           320, 1/8       320, 1/8      320, 1/4
    1            up_blocks.2           640, 1/8       640, 1/16     640, 1/8
    2            up_blocks.1           1280, 1/16     1280, 1/32    1280, 1/16
    3            up_blocks.0           1280, 1/32     1280, 1/64    1280, 1/32
    4            predicted latent      4, 1/8         4, 1/8        4, 1/8
    5            input of conv_out     320, 1/8       320, 1/8      320, 1/8
    ===========  ====================  =============  ============  =========

    The predicted latent is minus the U-Net's output: with all betas at 1 and
    v-prediction, the clean sample is ``-v``. It is in the VAE's scaled units
    (times 0.18215). Output 5 is what the last layer computes it from: the last
    block's output after ``conv_norm_out`` and SiLU, for `ReadoutHead`. Parts
    that no requested output needs are removed.

    Args:
        arch (str | dict): ``'sd21'``, ``'sd15'``, ``'mini'``, or
            ``dict(unet=..., vae=...)`` with diffusers config fields.
            Defaults to 'sd21'.
        pretrained (str, optional): Folder in diffusers layout, hub id, or
            ``'mini'``, the small prior in this package. If None, weights are
            random unless ``init_cfg`` or a checkpoint provides them.
        out_indices (Sequence[int]): Outputs, see the table. Defaults to
            (0, 1, 2, 3).
        feature_type (str): ``'post_upsample'``, each block's output, as in
            the official DPT variant; ``'pre_upsample'``, before the block's
            up-sampler, as in VPD; or ``'pyramid'``, which is
            ``'post_upsample'`` with the finest map up-sampled by a learned
            transposed convolution (as in ViTDet, arXiv:2203.16527), for necks
            and heads made for strides 4, 8, 16 and 32. A checkpoint without
            this convolution loads and leaves it random. Defaults to
            'post_upsample'.
        timestep (int): The fixed timestep, 0 to 999. Defaults to 1.
        train_timestep (int | str, optional): The timestep in training mode,
            or ``'random'``: uniform in 0 to 999 for each image. Defaults to
            None, which takes ``timestep``.
        in_channels (int, optional): Latent channels that the U-Net takes: 4,
            or 8 for image and noisy latent (Marigold). ``pretrained`` weights
            for 4 are read into 8 with the first layer repeated and halved.
            Defaults to None, which takes the value from ``arch``.
        prediction_type (str, optional): What the U-Net of ``pretrained`` was
            trained to predict: ``'v_prediction'``, ``'epsilon'`` or
            ``'sample'``. The latent is minus the output for the first two,
            and the output itself for the last. None is ``'epsilon'`` for
            ``'sd15'``, ``'v_prediction'`` for others.
        prompt (str | Sequence[str]): Text to embed when ``pretrained`` is
            read, or class names, which become one token each, as in VPD
            (arXiv:2303.02153). Defaults to ''.
        prompt_embeds (str, optional): File with the embedded prompt (.npy,
            .pt, .safetensors) to use instead. Defaults to None.
        freeze_vae (bool): Keep the VAE encoder fixed. Defaults to True.
        freeze_unet (bool): Keep the U-Net fixed. Defaults to False.
        scratch_unet (bool): Leave the U-Net random; only the VAE and the
            prompt are read from ``pretrained``. Defaults to False.
        lora_rank (int): If positive, fix the U-Net and train LoRA matrices
            of this rank, with an equal alpha, on every attention projection;
            this needs peft. Defaults to 0.
        with_cp (bool): Gradient checkpointing. Defaults to False.
        init_cfg (dict, optional): mmengine initialization, for example
            ``dict(type='Pretrained', checkpoint=...)``. Defaults to None.
        unet_weights (str, optional): A file of U-Net tensors under diffusers'
            names to read instead of the U-Net of ``pretrained``, a path or
            ``'owner/name/file'`` on the hub, for example
            ``'CompVis/cleandift/cleandift_sd21_unet.safetensors'``
            (arXiv:2412.03439; with ``timestep=261``). Not read without
            ``pretrained``. Defaults to None.
        stem (str): What encodes the image: ``'vae'``, Stable Diffusion's
            encoder; or a small one of TAESD's architecture, ``'taesd'`` (1.2
            million parameters) or ``'taesd_mini'`` (for arch 'mini'). A small
            one gives ceil(H / 8) x ceil(W / 8) latent cells. Defaults to
            'vae'.
        stem_weights (str, optional): Weights of a small stem, see
            `load_tiny`, for example ``'madebyollin/taesd'``. Needed with
            ``pretrained``, and not read without. Defaults to None.

    Attributes:
        out_channels (tuple[int]): Channels of each output.
        out_strides (tuple[int]): Strides of each output. Where the input is
            not a multiple, an output has ``ceil(h / (stride / 8))`` cells, or
            ``ceil(H / stride)`` with ``'pyramid'``, as in a ResNet.
        size_divisor (int): The VAE's stride. An input that is not a multiple
            is cropped at the right and bottom edge, or with ``'pyramid'``
            padded there with mid-grey; a small stem crops nothing.

    Raises:
        ValueError: If an argument is outside its set or contradicts another,
            or ``arch`` has parts that Stable Diffusion's U-Nets do not have.

    Examples:
        >>> backbone = SDUNet(arch='mini')
        >>> outs = backbone(torch.zeros(1, 3, 64, 96))
        >>> [tuple(out.shape[1:]) for out in outs]
        [(32, 8, 12), (64, 8, 12), (96, 4, 6), (96, 2, 3)]
    """

    def __init__(self, arch='sd21', pretrained=None, out_indices=(0, 1, 2, 3),
                 feature_type='post_upsample', timestep=1, train_timestep=None,
                 in_channels=None, prediction_type=None, prompt='',
                 prompt_embeds=None, freeze_vae=True, freeze_unet=False,
                 scratch_unet=False, lora_rank=0, with_cp=False,
                 init_cfg=None, unet_weights=None, stem='vae',
                 stem_weights=None):
        super().__init__(init_cfg=init_cfg)
        unet_cfg, vae_cfg = resolve_arch(arch, in_channels=in_channels)
        num_blocks = len(unet_cfg['block_out_channels'])
        out_indices = tuple(out_indices)
        if not out_indices or any(
                index not in range(num_blocks + 2) for index in out_indices):
            raise ValueError(
                f'SDUNet: out_indices must be of 0..{num_blocks - 1} (up '
                f'blocks, finest first), {num_blocks} (predicted latent) and '
                f'{num_blocks + 1} (what it is computed from), got '
                f'{out_indices}.')
        check_choice('SDUNet', 'feature_type', feature_type,
                     ('post_upsample', 'pre_upsample', 'pyramid'))
        if timestep not in range(NUM_TIMESTEPS):
            raise ValueError('SDUNet: timestep must be in 0..999, got '
                             f'{timestep}.')
        if train_timestep not in (None, 'random', *range(NUM_TIMESTEPS)):
            raise ValueError("SDUNet: train_timestep must be None, 'random' "
                             f'or in 0..999, got {train_timestep!r}.')
        if prediction_type is None:
            prediction_type = PREDICTION_TYPES.get(
                arch if isinstance(arch, str) else None, 'v_prediction')
        check_choice('SDUNet', 'prediction_type', prediction_type,
                     ('v_prediction', 'epsilon', 'sample'))
        if lora_rank and freeze_unet:
            raise ValueError('SDUNet: lora_rank trains the U-Net through '
                             'LoRA, which freeze_unet forbids; set one.')
        if scratch_unet and (lora_rank or freeze_unet):
            raise ValueError('SDUNet: scratch_unet leaves the U-Net random, '
                             'and lora_rank and freeze_unet would keep it '
                             'random; set one.')
        if unet_weights is not None and scratch_unet:
            raise ValueError('SDUNet: scratch_unet leaves the U-Net random, '
                             'and unet_weights would be its weights; set one.')
        check_choice('SDUNet', 'stem', stem, ('vae', *TINY_ARCHS))
        self.has_small_stem = stem != 'vae'
        if self.has_small_stem and (
                pretrained is not None and stem_weights is None):
            raise ValueError(
                'SDUNet: pretrained brings the U-Net alone; set stem_weights '
                f'for stem={stem!r}, too.')
        if stem_weights is not None and not self.has_small_stem:
            raise ValueError("SDUNet: stem_weights are of a small stem; set "
                             "stem='taesd', or remove them.")
        if pretrained is not None and init_cfg is not None:
            raise ValueError('SDUNet: pretrained and init_cfg both bring '
                             'weights; set one.')

        self.arch = arch
        self.prediction_type = prediction_type
        self.pretrained = pretrained
        self.unet_weights = unet_weights
        self.stem_weights = stem_weights
        self.prompt = prompt
        self.prompt_embeds_file = prompt_embeds
        self.out_indices = out_indices
        self.feature_type = feature_type
        self.timestep = timestep
        self.train_timestep = (
            timestep if train_timestep is None else train_timestep)
        self.freeze_vae = freeze_vae
        self.freeze_unet = freeze_unet
        self.scratch_unet = scratch_unet
        self.lora_rank = lora_rank
        self.with_cp = with_cp

        # diffusers takes seconds to import
        from diffusers import AutoencoderKL, UNet2DConditionModel
        self.unet = UNet2DConditionModel(**unet_cfg)
        self.in_channels = self.unet.config.in_channels
        if self.has_small_stem:
            self.vae = build_tiny(stem, 'encoder', 'SDUNet')
        else:
            self.vae = AutoencoderKL(**vae_cfg)
            del self.vae.decoder, self.vae.post_quant_conv
        self.scaling_factor = self.vae.config.scaling_factor
        # fixed values, so that models built without weights are comparable
        self.register_buffer('prompt_embeds', torch.randn(
            1, 2, unet_cfg['cross_attention_dim'], device='cpu',
            generator=torch.Generator().manual_seed(0)))
        # on the device: a number would be copied there in each call
        self.register_buffer('_timesteps', torch.arange(
            NUM_TIMESTEPS, device='cpu'), persistent=False)
        self._has_weights = pretrained is None
        self.deployed = self._timestep_is_folded = False
        self._latent_sign = 1 if prediction_type == 'sample' else -1
        # for a training that is resumed, whose checkpoint has the weights
        self.skip_pretrained = False

        self._describe_outputs(vae_cfg)
        self._drop_unused_parts()
        if lora_rank:
            self._add_lora()
        if with_cp:
            self.unet.enable_gradient_checkpointing()
            if not self.has_small_stem:
                self.vae.enable_gradient_checkpointing()
        self.vae.requires_grad_(not freeze_vae)
        if freeze_unet:
            self.unet.requires_grad_(False)
        self.register_load_state_dict_pre_hook(_adapt_state_dict)

    def _describe_outputs(self, vae_cfg):
        """Set channels and strides, and add the pyramid's convolution."""
        channels = tuple(self.unet.config.block_out_channels)
        self.size_divisor = STRIDE if self.has_small_stem else (
            2**(len(vae_cfg['block_out_channels']) - 1))
        strides = [self.size_divisor * 2**i for i in range(len(channels))]
        if self.feature_type == 'post_upsample':
            strides = strides[:1] + strides[:-1]
        elif self.feature_type == 'pyramid':
            strides = [self.size_divisor // 2] + strides[:-1]
            if 0 in self.out_indices:
                self.pyramid_up = nn.ConvTranspose2d(
                    channels[0], channels[0], kernel_size=2, stride=2)
        channels += (self.unet.config.out_channels, channels[0])
        strides += [self.size_divisor] * 2
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.out_strides = tuple(strides[i] for i in self.out_indices)

    def _drop_unused_parts(self):
        """Remove parts that no output depends on: a distributed run must not
        wait for gradients that never come."""
        num_blocks = len(self.unet.up_blocks)
        self.predicts_latent = num_blocks in self.out_indices
        self.normalizes = max(self.out_indices) >= num_blocks
        if not self.predicts_latent:
            self.unet.conv_out = None
        if self.normalizes:
            return
        self.unet.conv_norm_out = None
        last = num_blocks - 1 - min(self.out_indices)
        self.unet.up_blocks = self.unet.up_blocks[:last + 1]
        if self.feature_type == 'pre_upsample':
            self.unet.up_blocks[last].upsamplers = None

    def _add_lora(self):
        try:
            from peft import LoraConfig
        except ImportError as error:
            raise ImportError('SDUNet: lora_rank needs peft; install it '
                              'with: pip install peft') from error
        # official recipe: alpha = rank, A ~ N(0, 1/r), B = 0
        self.unet.add_adapter(LoraConfig(
            r=self.lora_rank, lora_alpha=self.lora_rank,
            init_lora_weights='gaussian', target_modules=LORA_TARGETS))

    def train(self, mode=True):
        """Set the mode; frozen parts stay in eval mode."""
        folding.refuse_training(self, mode)
        super().train(mode)
        if self.freeze_vae:
            self.vae.eval()
        if self.freeze_unet:
            self.unet.eval()
        return self

    def init_weights(self):
        """Load ``pretrained``, or follow ``init_cfg``.

        Raises:
            ValueError: If the weights are of another architecture.
            RuntimeError: If the files lack a tensor.
            OSError: If a file cannot be found or read; FileNotFoundError if
                ``pretrained`` is not a folder in diffusers layout.
        """
        if self.skip_pretrained:
            self.skip_pretrained = False
            return
        if self.pretrained is None:
            if self.init_cfg is None:
                print_log(
                    'SDUNet: no pretrained weights are set; U-Net and VAE '
                    'start from random values.',
                    logger='current')
            super().init_weights()
        else:
            self._load_pretrained()
        if self.prompt_embeds_file is not None:
            self._set_prompt(read_prompt_embeds(self.prompt_embeds_file))

    def _load_pretrained(self):
        """Load U-Net, VAE and, unless a file has it, the embedded prompt."""
        own_unet = self.scratch_unet or self.unet_weights is not None
        parts = (() if own_unet else ('unet', )) + (
            () if self.has_small_stem else ('vae', ))
        embeds = self.prompt_embeds_file is None
        folder = local_folder(
            self.pretrained, parts + TEXT_PARTS if embeds else parts)
        self._check_prediction_type(folder)
        # before the slow part, as a text encoder is easily forgotten
        prompt_embeds = embed_prompt(folder, self.prompt) if embeds else None
        if parts:
            load_parts(self, folder, parts)
        self._has_weights = True
        if self.has_small_stem:
            load_tiny(self, self.stem_weights, 'encoder')
        if self.unet_weights is not None:
            load_part(self.unet, read_file(local_file(self.unet_weights)),
                      f'SDUNet: unet_weights={self.unet_weights!r}')
        if embeds:
            self._set_prompt(prompt_embeds)

    def _check_prediction_type(self, folder):
        scheduler = read_json(
            folder, 'scheduler', 'scheduler_config.json') or {}
        # the default of diffusers' schedulers
        there = scheduler.get('prediction_type', 'epsilon')
        if scheduler and not self.scratch_unet and (
                there != self.prediction_type):
            raise ValueError(
                f'SDUNet: the U-Net of pretrained={self.pretrained!r} was '
                f'trained for prediction_type={there!r}, and the backbone '
                f'has {self.prediction_type!r}; set prediction_type={there!r}.'
            )

    def _set_prompt(self, prompt_embeds):
        width = self.prompt_embeds.shape[-1]
        if prompt_embeds.shape[-1] != width:
            raise ValueError(
                f'SDUNet: the embedded prompt is {prompt_embeds.shape[-1]} '
                f'wide, but the U-Net of this arch takes {width}; use its own '
                'text encoder.')
        self.prompt_embeds = prompt_embeds.detach().to(
            self.prompt_embeds, copy=True)

    def encode(self, x):
        """Encode images into scaled latents (posterior mean, no sampling).

        Args:
            x (Tensor): (N, 3, H, W) RGB in [-1, 1].

        Returns:
            Tensor: (N, 4, h, w), times the VAE's scaling factor (0.18215);
            a small stem gives this unit by itself.
        """
        x = x.to(self.prompt_embeds.dtype)
        with torch.set_grad_enabled(torch.is_grad_enabled()
                                    and not self.freeze_vae):
            if self.has_small_stem:
                return encode_tiny(self.vae, x, self.with_cp)
            if self.deployed:
                return self.vae.encoder(x)
            moments = self.vae.quant_conv(self.vae.encoder(x))
        return moments.chunk(2, dim=1)[0] * self.scaling_factor

    def forward(self, x):
        """Compute the requested features.

        Args:
            x (Tensor): (N, 3, H, W) RGB in [-1, 1], at least 8 x 8 pixels
                (any size with ``'pyramid'``).

        Returns:
            tuple[Tensor]: (N, C, H / stride, W / stride) for each entry of
            ``out_indices``, in that order.

        Raises:
            ValueError: If ``x`` has another shape or is too small, or the
                U-Net takes a noisy latent too.
            RuntimeError: If ``pretrained`` is set, but not loaded.
        """
        if self.in_channels != self.vae.config.latent_channels:
            raise ValueError(
                f'SDUNet: a U-Net with in_channels={self.in_channels} takes '
                'noise beside the image; use genpercept_mm.'
                "LatentDiffusionEstimator with protocol='marigold'.")
        pads = self.feature_type == 'pyramid'
        if x.dim() != 4 or x.shape[1] != 3 or min(
                x.shape[2:]) < (1 if pads else self.size_divisor):
            raise ValueError(
                f'SDUNet: input must be (N, 3, H, W) with H and W of at '
                f'least {self.size_divisor}, got {tuple(x.shape)}; pad it '
                'with genpercept_mm.OneStepDataPreprocessor.')
        height, width = x.shape[2:]
        if pads:
            x = F.pad(x, (0, -width % self.size_divisor,
                          0, -height % self.size_divisor))
        outs = self.run_unet(self.encode(x),
                             self.draw_timesteps(x.shape[0], x.device))
        if pads and 0 in self.out_indices:
            stride = self.size_divisor // 2
            outs[0] = self.pyramid_up(outs[0])[
                ..., :math.ceil(height / stride), :math.ceil(width / stride)]
        return tuple(outs[index] for index in self.out_indices)

    def draw_timesteps(self, batch, device=None):
        """Return ``timestep``, or ``train_timestep`` in training mode.

        ``'random'`` gives a new (batch, ) int64 tensor on ``device``. It is
        drawn on the CPU, so a seed means the same on every device, and within
        `step_draws` for each image by itself.
        """
        if not self.training:
            return self.timestep
        if self.train_timestep == 'random':
            generators = image_generators(batch)
            if generators is None:
                return torch.randint(NUM_TIMESTEPS, (batch, )).to(device)
            return torch.cat([
                torch.randint(NUM_TIMESTEPS, (1, ), generator=generator)
                for generator in generators]).to(device)
        return self.train_timestep

    def velocity(self, latents, timesteps):
        """Run the U-Net and return its own output, the velocity.

        Args:
            latents (Tensor): (N, in_channels, h, w), scaled.
            timesteps (int | Tensor): 0 to 999, one or (N, ).

        Returns:
            Tensor: (N, 4, h, w).

        Raises:
            ValueError: If ``out_indices`` lacks the predicted latent, or
                ``latents`` has other channels.
            RuntimeError: If ``pretrained`` is set, but not loaded.
        """
        index = len(self.unet.down_blocks)
        if not self.predicts_latent:
            raise ValueError(
                f'SDUNet: the velocity needs {index} (predicted latent) in '
                f'out_indices, got {self.out_indices}.')
        if latents.dim() != 4 or latents.shape[1] != self.in_channels:
            raise ValueError(
                f'SDUNet: latents must be (N, {self.in_channels}, h, w), got '
                f'{tuple(latents.shape)}; in_channels of the backbone and '
                'the protocol must agree.')
        hidden = self._normalized(self._run_blocks(latents, timesteps)[1])
        return self.unet.conv_out(hidden)

    def run_unet(self, latents, timesteps=None):
        """Run the U-Net once and return a dict of its outputs by index.

        ``latents`` is (N, in_channels, h, w), scaled; ``timesteps`` is 0 to
        999, one or (N, ), or None for ``timestep``. The dict has every output
        in the table of `SDUNet` that the kept parts compute. Raises a
        RuntimeError if ``pretrained`` is set, but not loaded.
        """
        outs, hidden = self._run_blocks(latents, timesteps)
        num_blocks = len(self.unet.down_blocks)
        if self.normalizes:
            outs[num_blocks + 1] = hidden = self._normalized(hidden)
        if self.predicts_latent:
            latent = self.unet.conv_out(hidden)
            outs[num_blocks] = (latent if self._latent_sign == 1
                                else self._latent_sign * latent)
        return outs

    def _normalized(self, hidden):
        """Return what the last layer reads."""
        return self.unet.conv_act(self.unet.conv_norm_out(hidden))

    def _run_blocks(self, latents, timesteps=None):
        """Return the outputs of the up blocks, and the last of them."""
        require_weights(self)
        if timesteps is None:
            timesteps = self.timestep
        unet = self.unet
        latents = latents.to(self.prompt_embeds.dtype)
        prompt = self.prompt_embeds.expand(latents.shape[0], -1, -1)
        time = self._embed_time(latents, timesteps)

        hidden = unet.conv_in(latents)
        skips = [hidden]
        for block in unet.down_blocks:
            context = {}
            if getattr(block, 'has_cross_attention', False):
                context['encoder_hidden_states'] = prompt
            hidden, block_skips = block(hidden, time, **context)
            skips.extend(block_skips)
        hidden = unet.mid_block(hidden, time, encoder_hidden_states=prompt)

        outs = {}
        num_blocks = len(unet.down_blocks)
        for i, block in enumerate(unet.up_blocks):
            hidden = self._run_up_block(block, hidden, skips, time, prompt)
            index = num_blocks - 1 - i
            if self.feature_type == 'pre_upsample':
                outs[index] = hidden
            if block.upsamplers is not None:
                # the next skip's size is not always twice this one; diffusers'
                # own forward compares sizes, which fixes those of an export
                hidden = block.upsamplers[0].conv(F.interpolate(
                    hidden, skips[-1].shape[2:], mode='nearest'))
            if self.feature_type != 'pre_upsample':
                outs[index] = hidden
        return outs, hidden

    def _embed_time(self, latents, timesteps):
        if not self._timestep_is_folded:
            if isinstance(timesteps, int):
                timesteps = self._timesteps[timesteps]
            return self.unet.time_embedding(
                self.unet.get_time_embed(latents, timesteps))
        if timesteps != self.timestep:
            raise ValueError(
                f'SDUNet: switch_to_deploy has folded timestep '
                f'{self.timestep}, got {timesteps}.')
        return None

    @torch.no_grad()
    def switch_to_deploy(self, fold_timestep=True):
        """Fold what is constant at test time, in place.

        Outputs are the same to rounding; the backbone cannot be trained
        afterwards. Folded are the prompt (with two tokens, each
        cross-attention becomes two linear layers with a sigmoid between
        them), the timestep (into biases), ``quant_conv``, the mean of the
        posterior and the scaling factor (into the encoder's last layer), and
        LoRA.

        Args:
            fold_timestep (bool): Whether `timestep` is the only one.
                Defaults to True.

        Raises:
            RuntimeError: If ``pretrained`` is set, but not loaded.
        """
        if self.deployed:
            return
        require_weights(self)
        self.requires_grad_(False).eval()
        if self.lora_rank:
            self.unet.fuse_lora()
            self.unet.unload_lora()
        folding.fold_prompt(self.unet, self.prompt_embeds)
        if fold_timestep:
            sample = self.prompt_embeds.new_zeros(1, self.in_channels, 1, 1)
            folding.fold_timestep(
                self.unet, self._embed_time(sample, self.timestep))
            self.unet.time_embedding = None
            self._timestep_is_folded = True
        if not self.has_small_stem:
            self._fold_quant_conv()
        self.deployed = True

    def _fold_quant_conv(self):
        matrix, bias = folding.pointwise(self.vae.quant_conv)
        means = self.vae.config.latent_channels
        folding.fold_after(
            self.vae.encoder.conv_out, matrix[:means] * self.scaling_factor,
            bias[:means] * self.scaling_factor)
        self.vae.quant_conv = None

    @torch.no_grad()
    def fold_after_latent(self, matrix, bias):
        """Apply a matrix (K, 4), and then a bias (K, ), to the predicted
        latent, in its last layer. Only after `switch_to_deploy`."""
        folding.fold_after(
            self.unet.conv_out, self._latent_sign * matrix, bias)
        self._latent_sign = 1

    def get_layer_depth(self, param_name, prefix=''):
        """Return a parameter's depth in the network and the number of layers.

        ``param_name`` is, for example,
        ``'unet.mid_block.resnets.0.conv1.weight'``, preceded by the ``prefix``
        of this backbone's parameters. The depth is 0 for the VAE, the first
        layer and the time embedding, and grows by one for each down block, the
        mid block, each up block and the output layers, as far as they are
        kept. The last of these has the number of layers minus 2, and
        parameters outside the backbone have that number minus 1, as in
        mmpretrain.
        """
        num_blocks = len(self.unet.down_blocks)
        outputs = 2 * num_blocks + 2
        last = num_blocks + 1 + len(self.unet.up_blocks)
        if self.normalizes or hasattr(self, 'pyramid_up'):
            last = outputs
        num_layers = last + 2
        if not param_name.startswith(prefix):
            return num_layers - 1, num_layers
        first = {'down_blocks': 1, 'mid_block': num_blocks + 1,
                 'up_blocks': num_blocks + 2, 'conv_norm_out': outputs,
                 'conv_out': outputs, 'pyramid_up': outputs}
        part, *rest = param_name[len(prefix):].removeprefix(
            'unet.').split('.')
        index = int(rest[0]) if part in ('down_blocks', 'up_blocks') else 0
        return first.get(part, 0) + index, num_layers

    def _run_up_block(self, block, hidden, skips, time, prompt):
        """Run an up block without its up-sampler, so that features can be
        taken from both sides of it."""

        def layer(hidden, skip, resnet, attention):
            hidden = resnet(torch.cat([hidden, skip], dim=1), time)
            if attention is not None:
                hidden = attention(
                    hidden, encoder_hidden_states=prompt,
                    return_dict=False)[0]
            return hidden

        attentions = getattr(block, 'attentions', [None] * len(block.resnets))
        for resnet, attention in zip(block.resnets, attentions):
            args = hidden, skips.pop(), resnet, attention
            if self.with_cp and torch.is_grad_enabled():
                hidden = checkpoint(layer, *args, use_reentrant=False)
            else:
                hidden = layer(*args)
        return hidden


def _adapt_state_dict(module, state_dict, prefix, *args):
    """Check a checkpoint before it is loaded, and adopt its prompt."""
    given = check_checkpoint(
        module, state_dict, prefix,
        # the pyramid's convolution may start from random values
        optional=('.lora_', 'pyramid_up.'),
        resized=('prompt_embeds', ),
        fields=('arch', 'in_channels', 'feature_type', 'out_indices',
                'lora_rank', 'stem'))
    if given:
        module._set_prompt(state_dict[prefix + 'prompt_embeds'])
