"""Write entries of metafiles, the lists of models behind model-index.yml."""
import math
import os.path as osp

import yaml

# how fast a test ran, logged beside its metrics
TIMES = ('time', 'data_time')


def read_results(metrics, task, dataset=None):
    """Turn what a test measured into an entry's ``Results``.

    Args:
        metrics (dict[str, float]): As ``tools/test.py`` writes them;
            ``'nyu/abs_rel'`` is ``abs_rel`` on ``nyu``. Times and values
            that are not finite numbers are left out.
        task (str): For example ``'Depth Estimation'``.
        dataset (str, optional): Name of the data set. Defaults to None,
            which takes the prefix that all metrics must have then.

    Returns:
        list[dict]: One for each data set: ``Task``, ``Dataset``,
        ``Metrics``.

    Raises:
        ValueError: If there is no metric, no name for a data set, or one
            name for several.
    """
    groups = {}
    for key, value in metrics.items():
        if key in TIMES or not isinstance(value, (int, float)) or (
                not math.isfinite(value)):
            continue
        prefix, _, name = key.rpartition('/')
        groups.setdefault(prefix, {})[name] = value
    if not groups:
        raise ValueError(f'read_results: no metric among {list(metrics)}; '
                         'give the file that tools/test.py wrote.')
    if dataset is not None and len(groups) > 1:
        raise ValueError(f'read_results: one name, {dataset!r}, for the data '
                         f'sets {list(groups)}; do not give a name.')
    if dataset is None and '' in groups:
        raise ValueError(f'read_results: {list(groups[""])} do not say on '
                         'what data set they were measured; give its name.')
    return [dict(Task=task, Dataset=dataset or prefix, Metrics=values)
            for prefix, values in groups.items()]


def model_entry(config, cfg, meta, weights, collection, results=None,
                training_data=None):
    """Describe a published model.

    Args:
        config (str): Path of the config, as the metafile shall have it; the
            model is named after the file.
        cfg (Config): The content of that file.
        meta (dict): Meta of the checkpoint; ``iter``, or ``epoch`` if the
            config counts epochs, tells how long it was trained.
        weights (str): Path of the checkpoint; the entry has the file's name.
        collection (str): Collection that the model belongs to.
        results (list[dict], optional): From `read_results`. Defaults to
            None, nothing was measured.
        training_data (list[str], optional): Names of the training data
            sets. Defaults to None.

    Returns:
        dict: The entry, in the order in which it is written. Iterations and
        batch size are those of optimizer steps.
    """
    optim, loop, loader = (
        cfg.get(key) or {}
        for key in ('optim_wrapper', 'train_cfg', 'train_dataloader'))
    steps = optim.get('accumulative_counts', 1)
    metadata = {}
    if training_data:
        metadata['Training Data'] = (
            training_data[0] if len(training_data) == 1
            else list(training_data))
    # base_batch_size counts the images of all GPUs
    images = (cfg.get('auto_scale_lr') or {}).get(
        'base_batch_size', loader.get('batch_size', 0) * steps)
    if images:
        metadata['Batch Size'] = images
    if 'max_epochs' in loop:
        if 'epoch' in meta:
            metadata['Epochs'] = meta['epoch']
    elif 'iter' in meta:
        metadata['Iterations'] = meta['iter'] // steps
    return {
        'Name': osp.splitext(osp.basename(config))[0],
        'In Collection': collection,
        'Config': config,
        'Metadata': metadata,
        'Results': results,
        'Weights': osp.basename(weights)
    }


def write_entry(entry):
    """Write an entry as text.

    Args:
        entry (dict): From `model_entry`.

    Returns:
        str: YAML, a list with one item, and a line for each field.
    """
    return yaml.safe_dump([entry], sort_keys=False, default_flow_style=None,
                          allow_unicode=True, width=math.inf)


def add_entry(text, entry):
    """Put an entry into a metafile.

    An existing entry of the same name keeps its ``Metadata`` and further
    fields, and gets the new ``Config``, ``Results`` and ``Weights``. Without
    new results it keeps the old ones only if the weights are the same file,
    as the results were measured with it. The rest of the text stays.

    Args:
        text (str): Text of a metafile with ``Collections`` and ``Models``,
            both lists whose items begin on lines of their own.
        entry (dict): From `model_entry`.

    Returns:
        str: The new text.

    Raises:
        ValueError: If the metafile is structured differently, or does not
            have the entry's collection.
    """
    text = text if text.endswith('\n') else text + '\n'
    try:
        content = yaml.safe_load(text)
        tree = {key.value: value for key, value in yaml.compose(text).value}
        models, node = content['Models'], tree['Models']
        names = [model['Name'] for model in models]
        collections = [item['Name'] for item in content['Collections']]
        bounds = [item.start_mark.line for item in node.value]
        indent = node.value[0].start_mark.column - 2
    except (AttributeError, IndexError, KeyError, TypeError,
            yaml.YAMLError) as error:
        raise ValueError('add_entry: not a metafile with Collections and '
                         f'Models, {type(error).__name__}: {error}') from error
    if entry['In Collection'] not in collections:
        raise ValueError(
            f'add_entry: collection {entry["In Collection"]!r} is not in the '
            f'metafile, which has {collections}.')
    bounds.append(node.end_mark.line)
    if entry['Name'] in names:
        index = names.index(entry['Name'])
        old = models[index]
        same = osp.basename(old.get('Weights') or '') == entry['Weights']
        entry = {**old, **entry,
                 'Metadata': old.get('Metadata') or entry['Metadata'],
                 'Results': entry['Results'] or (
                     old.get('Results') if same else None)}
        first, last = bounds[index], bounds[index + 1]
    else:
        index = len(models)
        first = last = bounds[-1]
    lines = text.splitlines(keepends=True)
    # comments after the entry do not belong to it
    while not lines[last - 1].strip() or lines[last - 1].lstrip()[0] == '#':
        last -= 1
    lines[min(first, last):last] = [
        ' ' * indent + line
        for line in write_entry(entry).splitlines(keepends=True)]
    new = ''.join(lines)
    if _parse(new) != dict(content, Models=[
            *models[:index], entry, *models[index + 1:]]):
        raise ValueError('add_entry: cannot change this metafile in place; '
                         'give each entry of Models lines of its own, or '
                         f'insert this by hand:\n{write_entry(entry)}')
    return new


def _parse(text):
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None
