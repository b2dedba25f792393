"""The figure of the learned neuron parameters of each layer: their course over the epochs, and their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from snnrun.config.settings import Style
from snnrun.report import marks, series
from snnrun.report.style import LIGHT, Palette, palette, picture, save
from snnrun.training.records import EpochRecord, LogRecord, ParameterSummary, of_kind

MOST = 10  # parameters in the figure
ROW = 1.9  # inches


def parameters_figure(records: Sequence[LogRecord], folder: Path, style: Style) -> list[Path]:
    """Write ``parameters``: the learned neuron parameters over the epochs. No file if none is learnable."""
    return save(lambda: draw_parameters(records, palette(style)), folder, "parameters", style)


def draw_parameters(records: Sequence[LogRecord], colours: Palette = LIGHT) -> Figure | None:
    """A row per parameter: mean (line) and ± sd (band) of each layer's values, and the last epoch's histograms."""
    epochs = of_kind(records, EpochRecord)
    summaries = [record.neuron_parameters or {} for record in epochs]
    names = list(dict.fromkeys(name for values in summaries for layer in values.values() for name in layer))[:MOST]
    if not names:
        return None
    layers = list(dict.fromkeys([*series.layer_names(epochs), *(layer for values in summaries for layer in values)]))
    look = marks.looks(layers, colours)
    spread = any(values.histogram for layer in summaries[-1].values() for values in layer.values())

    figure = picture(max(3.0, 0.7 + ROW * len(names)))
    panels = figure.subplots(len(names), 2 if spread else 1, squeeze=False, width_ratios=(2, 1) if spread else (1,))
    x = series.column(epochs, "epoch")
    for row, name in zip(panels, names, strict=True):
        row[0].set_title(name, loc="left")
        row[0].set_ylabel("mean ± sd" if spread else "value")
        for layer in layers:
            values = [each.get(layer, {}).get(name) for each in summaries]
            if any(values):
                _draw_curve(row[0], x, values, look[layer], layer)
        if spread:
            _draw_histograms(row[1], {layer: summaries[-1].get(layer, {}).get(name) for layer in layers}, look)
        marks.whole_numbers(row[0])
    panels[-1][0].set_xlabel("epoch")
    if spread:
        panels[0][1].set_title("values in the last epoch")
    figure.align_ylabels(panels[:, 0])
    handles = {line.get_label(): line for row in panels for line in row[0].lines}
    labels = [layer for layer in layers if layer in handles]
    figure.legend([handles[layer] for layer in labels], labels, loc="outside upper right", ncols=min(4, len(labels)))
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
    """Each layer's values in its own bins, as shares, so that small layers stay visible beside large ones."""
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
