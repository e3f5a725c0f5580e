"""Architectures of Stable Diffusion's U-Net and VAE, written out.

With these a model builds without a network connection and without weights.
The values are those ``config.json`` fields of the diffusers classes
``UNet2DConditionModel`` and ``AutoencoderKL`` that shape the network.
"""

_SD_VAE = dict(
    in_channels=3,
    out_channels=3,
    down_block_types=('DownEncoderBlock2D', ) * 4,
    up_block_types=('UpDecoderBlock2D', ) * 4,
    block_out_channels=(128, 256, 512, 512),
    layers_per_block=2,
    latent_channels=4,
    norm_num_groups=32,
    scaling_factor=0.18215)

_SD_UNET = dict(
    in_channels=4,
    out_channels=4,
    down_block_types=('CrossAttnDownBlock2D', ) * 3 + ('DownBlock2D', ),
    up_block_types=('UpBlock2D', ) + ('CrossAttnUpBlock2D', ) * 3,
    block_out_channels=(320, 640, 1280, 1280),
    layers_per_block=2,
    norm_num_groups=32)

ARCHS = {
    # Stable Diffusion 2.1: 865,910,724 parameters; attention_head_dim is,
    # by a historic slip in diffusers, the number of heads
    'sd21': dict(
        unet=dict(
            _SD_UNET,
            sample_size=96,
            cross_attention_dim=1024,
            attention_head_dim=(5, 10, 20, 20),
            use_linear_projection=True,
            upcast_attention=True),
        vae=_SD_VAE),
    # Stable Diffusion 1.5: 859,520,964 parameters
    'sd15': dict(
        unet=dict(
            _SD_UNET,
            sample_size=64,
            cross_attention_dim=768,
            attention_head_dim=8),
        vae=_SD_VAE),
    # The same structure at a size that a laptop trains in minutes
    'mini': dict(
        unet=dict(
            _SD_UNET,
            block_out_channels=(32, 64, 96, 96),
            layers_per_block=1,
            norm_num_groups=8,
            sample_size=16,
            cross_attention_dim=32,
            attention_head_dim=(1, 2, 3, 3),
            use_linear_projection=True),
        vae=dict(
            _SD_VAE,
            block_out_channels=(16, 32, 64, 64),
            layers_per_block=1,
            norm_num_groups=8)),
}

# What the U-Nets of these architectures were trained to predict, where it is
# not the velocity
PREDICTION_TYPES = {'sd15': 'epsilon'}

# What SDUNet's forward pass supports; the first value is diffusers' default
_UNET_PARTS = dict(
    center_input_sample=(False, ),
    mid_block_type=('UNetMidBlock2DCrossAttn', ),
    down_block_types=('CrossAttnDownBlock2D', 'DownBlock2D'),
    up_block_types=('CrossAttnUpBlock2D', 'UpBlock2D'),
    dual_cross_attention=(False, ),
    encoder_hid_dim=(None, ),
    encoder_hid_dim_type=(None, ),
    class_embed_type=(None, ),
    num_class_embeds=(None, ),
    addition_embed_type=(None, ),
    time_embedding_act_fn=(None, ))


def resolve_arch(arch, owner='SDUNet', in_channels=None):
    """Return fresh copies of the U-Net and the VAE config of an architecture.

    ``arch`` is a name in ``ARCHS``, or ``dict(unet=..., vae=...)`` with the
    fields of the two diffusers ``config.json`` files. ``in_channels`` is what
    the U-Net takes: the channels of a latent, or twice as many; None takes the
    value from ``arch``. Raises a ValueError if the name is unknown, a dict
    lacks a part or has one that `SDUNet` does not run, or ``in_channels`` is
    neither of the two.
    """
    if isinstance(arch, str):
        if arch not in ARCHS:
            raise ValueError(f'{owner}: arch must be one of {sorted(ARCHS)} '
                             f'or a dict, got {arch!r}.')
        arch = ARCHS[arch]
    if set(arch) != {'unet', 'vae'}:
        raise ValueError(
            f"{owner}: arch as a dict must have exactly the keys 'unet' and "
            f"'vae', got {sorted(arch)}; each holds the fields of the "
            'diffusers config.json.')
    # Tuples, as diffusers stores lists and configs bring either.
    unet, vae = ({
        key: tuple(value) if isinstance(value, list) else value
        for key, value in arch[part].items() if not key.startswith('_')
    } for part in ('unet', 'vae'))
    for key, allowed in _UNET_PARTS.items():
        given = unet.get(key, allowed[0])
        for value in given if isinstance(given, tuple) else (given, ):
            if value not in allowed:
                raise ValueError(
                    f'{owner}: arch.unet.{key}={value!r} is not '
                    f'supported; it must be one of {allowed}.')
    if in_channels is not None:
        unet['in_channels'] = in_channels
    latent = vae.get('latent_channels', 4)
    if unet.get('in_channels', 4) not in (latent, 2 * latent):
        raise ValueError(
            f'{owner}: in_channels of the U-Net must be {latent} (one latent)'
            f' or {2 * latent} (image and noisy latent), got '
            f'{unet["in_channels"]}.')
    return unet, vae
