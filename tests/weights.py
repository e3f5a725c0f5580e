"""Small random weights in the layouts of diffusers and the releases."""
import json

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from genpercept_mm.models.utils.sd_archs import ARCHS

UNET_FILE = 'diffusion_pytorch_model.safetensors'
# Widths that no architecture with a name has
ODD = dict(
    unet=dict(
        ARCHS['mini']['unet'], block_out_channels=(16, 24, 32, 40),
        norm_num_groups=8, cross_attention_dim=20, attention_head_dim=4),
    vae=dict(ARCHS['mini']['vae'], block_out_channels=(8, 16, 16, 24)))


def build_parts(arch='mini', device='cpu', seed=0, **unet):
    """U-Net, VAE and a prompt of two tokens, by diffusers."""
    arch = ARCHS[arch] if isinstance(arch, str) else arch
    torch.manual_seed(seed)
    with torch.device(device):
        parts = (UNet2DConditionModel(**{**arch['unet'], **unet}).eval(),
                 AutoencoderKL(**arch['vae']).eval())
    return *parts, torch.randn(1, 2, arch['unet']['cross_attention_dim'])


def random_head(widths=(32, 64, 96, 96), channels=24, last=6):
    """The official DPT head, from the table of its tensors."""
    def tensors(name, out, into, size, bias=True):
        weight = torch.randn(out, into, size, size)
        head[f'{name}.weight'] = weight * (2 / (into * size**2))**.5
        if bias:
            head[f'{name}.bias'] = torch.randn(out) / 10

    head = {}
    tensors('feature_upsample_0.conv', widths[0], widths[0], 3)
    for i, width in enumerate(widths):
        layer = f'neck.fusion_stage.layers.{i}'
        tensors(f'neck.convs.{i}', channels, width, 3, bias=False)
        tensors(f'{layer}.projection', channels, channels, 1)
        for unit in ('1', '2') if i else ('2', ):
            for conv in ('1', '2'):
                tensors(f'{layer}.residual_layer{unit}.convolution{conv}',
                        channels, channels, 3, bias=False)
    tensors('head.projection', channels, channels, 3)
    tensors('head.head.0', channels // 2, channels, 3)
    tensors('head.head.2', last, channels // 2, 3)
    tensors('head.head.4', 1, last, 1)
    return head


def with_old_names(vae, convolutions=False):
    """A VAE's state dict as old versions of diffusers wrote it."""
    new = {}
    for key, value in vae.items():
        if 'attentions' in key and convolutions and value.dim() == 2:
            value = value[..., None, None].clone()
        for old, name in (('query', 'to_q'), ('key', 'to_k'),
                          ('value', 'to_v'), ('proj_attn', 'to_out.0')):
            key = key.replace(f'attentions.0.{name}.', f'attentions.0.{old}.')
        new[key] = value
    return new


def write_text_encoder(root, **options):
    """Write a CLIP that knows two letters and the two ends of a text.

    Gives the encoder. 'a' and 'b' at the end of a word are tokens 0 and 1,
    the ends of a text 2 and 3.
    """
    from transformers import CLIPTextConfig, CLIPTextModel
    torch.manual_seed(4)
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=4, hidden_size=32, intermediate_size=37,
            num_hidden_layers=1, num_attention_heads=4, bos_token_id=2,
            eos_token_id=3, pad_token_id=3)).eval()
    encoder.save_pretrained(root / 'text_encoder', **options)
    folder = root / 'tokenizer'
    folder.mkdir()
    for name, content in (
            ('vocab.json', {'a</w>': 0, 'b</w>': 1, '<|startoftext|>': 2,
                            '<|endoftext|>': 3}),
            ('tokenizer_config.json', dict(
                tokenizer_class='CLIPTokenizer', model_max_length=77,
                bos_token='<|startoftext|>', eos_token='<|endoftext|>',
                unk_token='<|endoftext|>', pad_token='<|endoftext|>'))):
        (folder / name).write_text(json.dumps(content))
    (folder / 'merges.txt').write_text('#version: 0.2\n')
    return encoder


def write_checkpoint(path, config, **meta):
    """Write a checkpoint as a training of a mini config leaves it, with random
    weights whose outputs fill the range."""
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    from genpercept_mm.datasets import HypersimDataset
    from genpercept_mm.registry import MODELS
    cfg = Config.fromfile(config)
    classes = {} if 'codec' in cfg.model.decode_head else {
        key: list(HypersimDataset.METAINFO[key])
        for key in ('classes', 'palette')}
    for part in (cfg.model.backbone, cfg.model.decode_head):
        if part.get('pretrained'):
            part.pretrained = None
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model).eval()
    with torch.no_grad():
        model.backbone.vae.quant_conv.weight.mul_(8)
        if hasattr(model.decode_head, 'vae'):
            model.backbone.unet.conv_out.weight.mul_(4)
            model.decode_head.vae.decoder.conv_out.weight.mul_(4)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(
        dict(cfg=cfg.pretty_text, dataset_meta=classes), **meta)), path)
    return str(path)
