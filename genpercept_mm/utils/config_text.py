"""Configs in checkpoints, without running code from them."""
import ast

from mmengine.config import Config

_NAMES = dict(inf=float('inf'), nan=float('nan'))


def parse_config(text, source='the checkpoint'):
    """Read the text that mmengine stores in checkpoints as ``cfg``.

    mmengine runs it as Python, which would let a downloaded checkpoint run
    anything. Here it must consist of assignments of literals and ``dict(...)``
    alone, as mmengine writes it.

    Args:
        text (str): The text.
        source (str): Where it is from, for errors.

    Returns:
        Config: The config.

    Raises:
        ValueError: If the text is not Python, or anything but assignments.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise ValueError(f'the config in {source} cannot be read ({error}); '
                         'give the config file.') from error
    fields = {}
    for node in tree.body:
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1
                and isinstance(node.targets[0], ast.Name)):
            raise _refusal(node, source)
        fields[node.targets[0].id] = _value(node.value, source)
    return Config(fields)


def _value(node, source):
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in _NAMES:
        return _NAMES[node.id]
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind(_value(item, source) for item in node.elts)
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key, source): _value(value, source)
                for key, value in zip(node.keys, node.values)}
    if isinstance(node, ast.UnaryOp) and isinstance(
            node.op, (ast.USub, ast.UAdd)):
        value = _value(node.operand, source)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        kind = dict(dict=dict, set=set, tuple=tuple, list=list).get(
            node.func.id)
        if kind is dict and len(node.args) <= 1:
            # mmengine writes dict({...}) where keys are not names
            fields = {}
            for argument in node.args:
                if not isinstance(argument, ast.Dict):
                    raise _refusal(node, source)
                fields.update(_value(argument, source))
            for keyword in node.keywords:
                value = _value(keyword.value, source)
                fields.update(value if keyword.arg is None else
                              {keyword.arg: value})
            return fields
        if kind is not None and not node.args and not node.keywords:
            return kind()
    raise _refusal(node, source)


def _refusal(node, source):
    return ValueError(
        f'the config in {source} is more than values: {ast.unparse(node)!r}. '
        'It is not run; give the config file.')
