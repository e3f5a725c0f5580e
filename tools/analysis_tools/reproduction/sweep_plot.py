"""Plot a table whose rows are a sweep."""
from genpercept_mm.utils.files import write_whole


def plot_sweep(path, title, sweep, entries):
    """Draw with `draw_sweep` and write the picture.

    Args:
        path (str): PNG file to write.
        title (str): Heading.
        sweep (str): Label of the axis of the rows' ``x``.
        entries (Sequence[Entry]): From `compare`.
    """
    figure = draw_sweep(title, sweep, entries)
    write_whole(path, lambda target: figure.savefig(
        target, format='png', dpi=120))


def draw_sweep(title, sweep, entries):
    """Draw our AbsRel, with its spread, beside the paper's.

    Rows without ``x`` are horizontal lines.

    Args:
        title (str): Heading.
        sweep (str): Label of the axis of the rows' ``x``.
        entries (Sequence[Entry]): From `compare`.

    Returns:
        Figure: Two panels, ours and the paper's.
    """
    from matplotlib.figure import Figure
    figure = Figure(figsize=(11, 5), layout='constrained')
    panels = figure.subplots(1, 2, sharex=True)
    places = sorted({entry.row.x for entry in entries
                     if entry.row.x is not None})
    for panel, (name, value) in zip(panels, (
            ('ours', _ours), ('paper, mean of its data sets', _papers))):
        _draw(panel, entries, value)
        panel.set(title=name, xscale='log', xlabel=sweep, ylabel='AbsRel')
        panel.set_xticks(places, [f'{place:g}' for place in places],
                         rotation=45, ha='right')
        panel.minorticks_off()
        panel.grid(alpha=.3)
    handles, labels = panels[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=4,
                  frameon=False)
    figure.suptitle(title)
    return figure


def _ours(entry):
    if not entry.ours:
        return None
    cell = entry.ours['abs_rel']
    return cell.mean, cell.spread or 0


def _papers(entry):
    return entry.paper['abs_rel'], 0


def _draw(panel, entries, value):
    """Draw one line with error bars for each group."""
    names = dict.fromkeys(
        entry.row.group for entry in entries if entry.row.x is not None)
    styles = [f'C{index}' for index in range(10)]
    for name, color in zip(names, styles):
        points = sorted(
            (entry.row.x, *value(entry)) for entry in entries
            if entry.row.x is not None and entry.row.group == name
            and value(entry))
        if points:
            places, means, spreads = zip(*points)
            panel.errorbar(places, means, spreads, marker='o', capsize=3,
                           color=color, label=name)
    others = [entry for entry in entries if entry.row.x is None]
    for entry, color in zip(others, styles[len(names):]):
        if value(entry):
            mean, spread = value(entry)
            panel.axhline(mean, linestyle='--', color=color,
                          label=entry.row.name)
            panel.axhspan(mean - spread, mean + spread, color=color,
                          alpha=.15)
