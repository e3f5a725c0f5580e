"""LoRA matrices under peft's names, and plain weights made of them."""
import copy
import re

from mmengine.registry import MODELS, init_default_scope

from genpercept_mm.models.utils.weight_names import without_lora
from genpercept_mm.utils.trained_weights import KEY, restore_frozen


def lora_ranks(state):
    """List the ranks of LoRA matrices, sorted, each rank once."""
    return sorted({len(value) for key, value in state.items()
                   if key.endswith('.lora_A.default.weight')})


def merge_lora(state):
    """Add LoRA products to their base weights: ``base + B @ A``.

    The scale is 1: alpha equals the rank, in the official code and in
    `SDUNet`. The weights have peft's names: ``base_layer``, ``lora_A.default``
    (r, in) and ``lora_B.default`` (out, r); the result has plain names. Raises
    a ValueError if a pair or its base weight is incomplete.
    """
    merged = without_lora(state)
    names = {re.sub(r'\.lora_[AB]\.default\.weight$', '', key)
             for key in state if '.lora_' in key}
    for name in sorted(names):
        parts = [f'{name}.{part}.weight' for part in (
            'base_layer', 'lora_A.default', 'lora_B.default')]
        lacking = [part for part in parts if part not in state]
        if lacking:
            raise ValueError(
                f'The LoRA matrices of {name} lack {lacking}; expected '
                'those of one peft adapter named default.')
        base, low, high = (state[part].float() for part in parts)
        merged[f'{name}.weight'] = base + high @ low
    return merged


def merge_checkpoint(checkpoint, cfg=None):
    """Make a plain, whole checkpoint of one with LoRA or of a small one.

    What `TrainedWeightsHook` left out is read again from ``pretrained`` of
    the config.

    Args:
        checkpoint (dict): With ``state_dict`` and ``meta``; missing weights
            are added to it in place.
        cfg (Config, optional): Config of the model, which a small checkpoint
            needs; ``lora_rank`` becomes 0. Defaults to None.

    Returns:
        tuple[dict, list[str]]: A checkpoint of ``state_dict`` and ``meta``,
        and a sentence for each thing that was done.

    Raises:
        ValueError: If there is nothing to do, or a config is missing.
        RuntimeError: If ``pretrained`` does not bring the weights of the
            training, see `restore_frozen`.
    """
    ranks = lora_ranks(checkpoint['state_dict'])
    small = KEY in checkpoint['meta']
    if not ranks and not small:
        raise ValueError('The checkpoint is plain and whole already.')
    notes = []
    if ranks:
        notes.append(
            f'LoRA matrices of rank {ranks} are merged; the config of this '
            'file differs by\n\nmodel = dict(backbone=dict(lora_rank=0))')
    if small:
        if cfg is None:
            raise ValueError(
                'The checkpoint holds trained weights only and does not say '
                'of which model; give its config with --config.')
        init_default_scope(cfg.get('default_scope', 'mmengine'))
        restore_frozen(checkpoint, MODELS.build(cfg.model))
        notes.append('Frozen weights are those of pretrained, now inside')
    state = merge_lora(checkpoint['state_dict'])
    meta = {key: value for key, value in checkpoint['meta'].items()
            if key != KEY}
    if cfg is not None:
        if ranks:
            cfg = copy.deepcopy(cfg)
            cfg.merge_from_dict({'model.backbone.lora_rank': 0})
        meta['cfg'] = cfg.pretty_text
    if ranks and isinstance(meta.get('config'), dict):
        meta['config'] = copy.deepcopy(meta['config'])
        meta['config']['model']['backbone']['lora_rank'] = 0
    state = {key: value.detach().contiguous()
             for key, value in state.items()}
    return dict(state_dict=state, meta=meta), notes
