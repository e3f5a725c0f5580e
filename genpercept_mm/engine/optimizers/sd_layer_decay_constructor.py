"""Learning rates that grow along the U-Net."""
from mmengine.optim import DefaultOptimWrapperConstructor

from genpercept_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS

# keys of paramwise_cfg that mmengine's constructor reads
KEYS = {
    'custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult',
    'flat_decay_mult', 'dwconv_decay_mult', 'dcn_offset_lr_mult',
    'bypass_duplicate', 'layer_decay_rate'
}


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SDLayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor with layer-wise learning rate decay of SDUNet.

    The last stage of the U-Net (see `SDUNet.get_layer_depth`) learns at ``lr
    * layer_decay_rate``, the one before it at ``lr * layer_decay_rate ** 2``
    and so on; all parts outside the backbone learn at ``lr`` (BEiT,
    arXiv:2106.08254, appendix H, as in ViTPose, with stages of the U-Net as
    layers). All other keys are those of mmengine and have their usual
    effect.

    Args:
        optim_wrapper_cfg (dict): Config of the optimizer wrapper; the
            optimizer needs ``lr``.
        paramwise_cfg (dict): ``layer_decay_rate`` (float in (0, 1]), and
            mmengine's keys, such as ``norm_decay_mult=0``.

    Raises:
        ValueError: If ``layer_decay_rate`` is missing or out of range, a key
            is unknown, the optimizer has no ``lr``, or the model has no
            SDUNet.
    """

    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        paramwise_cfg = dict(paramwise_cfg or {})
        unknown = sorted(set(paramwise_cfg) - KEYS)
        if unknown:
            raise ValueError(
                f'{type(self).__name__}: paramwise_cfg has {unknown}, which '
                f'would have no effect; known keys: {sorted(KEYS)}.')
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
        """See mmengine's ``DefaultOptimWrapperConstructor.add_params``.

        The groups of the whole model, not of its parts, get scaled rates.
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
                     if hasattr(part, 'get_layer_depth')]
        if not backbones:
            raise ValueError(
                f'{type(self).__name__}: the model has no SDUNet, and no '
                'learning rate would be scaled; remove the constructor.')
        scales = {}
        for backbone in backbones:
            for name, param in backbone.named_parameters():
                depth, num_layers = backbone.get_layer_depth(name)
                scales[id(param)] = self.layer_decay_rate**(
                    num_layers - 1 - depth)
        return scales
