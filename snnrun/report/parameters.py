"""The figure of what the neurons of each layer have learned: their parameters over the epochs, and how they spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from snnrun.config.settings import Style
from snnrun.report import series
from snnrun.report.style import DASHES, LIGHT, Palette, palette, picture, save
from snnrun.training.records import EpochRecord, LogRecord, ParameterSummary, of_kind

MOST = 10  # parameters that are drawn
ROW = 1.9  # inches


def parameters_figure(records: Sequence[LogRecord], folder: Path, style: Style) -> list[Path]:
    """Write ``parameters``: those that neurons learned, over the epochs. No file where none is learnable."""
    return save(lambda: draw_parameters(records, palette(style)), folder, "parameters", style)


def draw_parameters(records: Sequence[LogRecord], colours: Palette = LIGHT) -> Figure | None:
    """A row per parameter: mean of each layer (line) and ± sd over its values (band); beside it the last histograms."""
    epochs = of_kind(records, EpochRecord)
    found = [record.neuron_parameters or {} for record in epochs]
    names = list(dict.fromkeys(name for values in found for layer in values.values() for name in layer))[:MOST]
    if not names:
        return None
    layers = list(dict.fromkeys([*series.layer_names(epochs), *(layer for values in found for layer in values)]))
    shades = colours.layers
    looks = {name: (shades[i % len(shades)], DASHES[i // len(shades) % len(DASHES)]) for i, name in enumerate(layers)}
    spread = any(values.histogram for layer in found[-1].values() for values in layer.values())

    figure = picture(max(3.0, 0.7 + ROW * len(names)))
    panels = figure.subplots(len(names), 2 if spread else 1, squeeze=False, width_ratios=(2, 1) if spread else (1,))
    x = series.column(epochs, "epoch")
    for row, name in zip(panels, names, strict=True):
        row[0].set_title(name, loc="left")
        row[0].set_ylabel("mean ± sd" if spread else "value")
        for layer in layers:
            values = [each.get(layer, {}).get(name) for each in found]
            if any(values):
                _draw_curve(row[0], x, values, looks[layer], layer)
        if spread:
            _draw_histograms(row[1], {layer: found[-1].get(layer, {}).get(name) for layer in layers}, looks)
        row[0].xaxis.set_major_locator(MaxNLocator(nbins=10, steps=(1, 2, 5, 10), integer=True, min_n_ticks=1))
    panels[-1][0].set_xlabel("epoch")
    if spread:
        panels[0][1].set_title("values in the last epoch")
    figure.align_ylabels(panels[:, 0])
    handles = {line.get_label(): line for row in panels for line in row[0].lines}
    ordered = [layer for layer in layers if layer in handles]
    figure.legend([handles[layer] for layer in ordered], ordered, loc="outside upper right", ncols=min(4, len(ordered)))
    return figure


def _draw_curve(
    axes: Axes, x: np.ndarray, values: Sequence[ParameterSummary | None], look: tuple[str, str], label: str
) -> None:
    mean, sd = series.column(values, "mean"), series.column(values, "sd")
    colour, dashes = look
    axes.plot(x, mean, color=colour, ls=dashes, label=label, marker="o" if len(x) <= 40 else "")
    axes.fill_between(x, mean - sd, mean + sd, color=colour, alpha=0.2, lw=0)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _draw_histograms(
    axes: Axes, layers: Mapping[str, ParameterSummary | None], looks: Mapping[str, tuple[str, str]]
) -> None:
    """Each layer's values in its own bins, as shares, so that small layers are seen beside large ones."""
    axes.set_ylabel("share of values")
    for layer, values in layers.items():
        if values is None or not values.histogram:
            continue
        counts = values.histogram
        edges = np.linspace(values.min, values.max, len(counts) + 1)
        colour, dashes = looks[layer]
        axes.stairs(np.asarray(counts) / max(1, sum(counts)), edges, color=colour, ls=dashes, lw=1.2)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
