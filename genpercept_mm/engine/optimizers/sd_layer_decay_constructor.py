"""Learning rates that grow along the U-Net."""
import re

from mmengine.optim import DefaultOptimWrapperConstructor

from genpercept_mm.models.backbones import SDUNet
from genpercept_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS

# keys of paramwise_cfg that mmengine's constructor reads
KEYS = {
    'custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult',
    'flat_decay_mult', 'dwconv_decay_mult', 'dcn_offset_lr_mult',
    'bypass_duplicate', 'layer_decay_rate'
}


def unet_stage(name, num_blocks):
    """Place a parameter of SDUNet along the path of the image.

    Args:
        name (str): Inside the backbone, such as
            ``'unet.down_blocks.0.resnets.0.conv1.weight'``.
        num_blocks (int): Down blocks, as many as up blocks.

    Returns:
        int: 0 for the VAE, first layer and time embedding, then one for each
        down block, the mid block, each up block and the output layers,
        ``2 * num_blocks + 2``.
    """
    block = re.match(r'unet\.(down|up)_blocks\.(\d+)\.', name)
    if block:
        first = 1 if block[1] == 'down' else num_blocks + 2
        return first + int(block[2])
    if name.startswith('unet.mid_block.'):
        return num_blocks + 1
    if name.startswith(('unet.conv_norm_out.', 'unet.conv_out.',
                        'pyramid_up.')):
        return 2 * num_blocks + 2
    return 0


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SDLayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor with layer-wise learning rate decay of SDUNet.

    The last stage of the U-Net (see `unet_stage`) that the model has learns
    at ``lr * layer_decay_rate``, the one before at ``lr * layer_decay_rate **
    2`` and so on; whatever is no backbone of ours, at ``lr`` (BEiT,
    arXiv:2106.08254, appendix H, as in ViTPose, with stages of the U-Net as
    layers). Every other key is mmengine's and acts too.

    Args:
        optim_wrapper_cfg (dict): Of the optimizer wrapper; the optimizer
            needs ``lr``.
        paramwise_cfg (dict): With ``layer_decay_rate`` (float in (0, 1]),
            and mmengine's keys, such as ``norm_decay_mult=0``.

    Raises:
        ValueError: If ``layer_decay_rate`` is absent or out of range, a key
            is unknown, the optimizer has no ``lr``, or the model has no
            SDUNet.
    """

    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        paramwise_cfg = dict(paramwise_cfg or {})
        unknown = sorted(set(paramwise_cfg) - KEYS)
        if unknown:
            raise ValueError(
                f'{type(self).__name__}: paramwise_cfg has {unknown}, which '
                f'would do nothing; known keys: {sorted(KEYS)}.')
        self.layer_decay_rate = paramwise_cfg.get('layer_decay_rate')
        if self.layer_decay_rate is None or not (
                0 < self.layer_decay_rate <= 1):
            raise ValueError(
                f'{type(self).__name__}: paramwise_cfg.layer_decay_rate must '
                f'be in (0, 1], got {self.layer_decay_rate!r}.')
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        if self.base_lr is None:
            raise ValueError(f'{type(self).__name__}: optim_wrapper.optimizer'
                             ' needs lr.')

    def add_params(self, params, module, prefix='', is_dcn_module=None):
        """Add a group for each parameter of a module and those below it.

        Args:
            params (list[dict]): Groups so far, extended in place.
            module (nn.Module): The model, or a part of it.
            prefix (str): Name of the part. Defaults to ''.
            is_dcn_module (int | float, optional): mmengine's. Defaults to
                None.
        """
        super().add_params(params, module, prefix, is_dcn_module)
        if prefix:
            return
        scales = self._scales(module)
        for group in params:
            scale = scales.get(id(group['params'][0]))
            if scale is not None:
                group['lr'] = group.get('lr', self.base_lr) * scale

    def _scales(self, model):
        backbones = [part for part in model.modules()
                     if isinstance(part, SDUNet)]
        if not backbones:
            raise ValueError(
                f'{type(self).__name__}: the model has no SDUNet, and no '
                'learning rate would be scaled; remove the constructor.')
        scales = {}
        for backbone in backbones:
            num_blocks = len(backbone.unet.down_blocks)
            stages = {name: unet_stage(name, num_blocks)
                      for name, _ in backbone.named_parameters()}
            # what no output needs is not there
            end = max(stages.values()) + 1
            for name, param in backbone.named_parameters():
                scales[id(param)] = self.layer_decay_rate**(
                    end - stages[name])
        return scales
