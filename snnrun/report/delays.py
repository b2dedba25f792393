"""The figure of a network's delays: how long they are, and which neurons they lie between."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from snnrun.config.settings import Style
from snnrun.report import marks
from snnrun.report.style import LIGHT, Palette, ink_map, palette, picture, save

MOST = 8  # rows in the figure
ROW = 2.2  # inches


class LayerDelays(NamedTuple):
    """The delays of a layer's connections.

    Attributes:
        values: in steps, ``[N_out, N_in]`` of synapses, or ``[N_in]`` of axons.
        maximum: the largest delay that they may have.
    """

    values: NDArray[np.floating]
    maximum: int


def delays_figure(delays: Mapping[str, LayerDelays], folder: Path, style: Style) -> list[Path]:
    """Write ``delays``: the delays of each layer's connections, by a name. No file without delays."""
    return save(lambda: draw_delays(delays, palette(style)), folder, "delays", style)


def draw_delays(delays: Mapping[str, LayerDelays], colours: Palette = LIGHT) -> Figure | None:
    """A row for each layer: the histogram of its delays, a bar for each step, and the delays by their neurons."""
    names = list(delays)[:MOST]
    if not names:
        return None
    figure = picture(max(3.0, 0.7 + ROW * len(names)))
    panels = figure.subplots(len(names), 2, squeeze=False, width_ratios=(3, 2))
    for (left, right), name in zip(panels, names, strict=True):
        layer = delays[name]
        left.set_title(name, loc="left")
        _draw_histogram(left, layer, colours)
        if layer.values.ndim == 2:
            _draw_matrix(figure, right, layer, colours)
        else:
            right.plot(np.sort(layer.values), color=colours.training)
            right.set(xlabel="sending neuron, by its delay", ylabel="delay (steps)", ylim=(0, layer.maximum))
    panels[-1][0].set_xlabel("delay (steps)")
    figure.align_ylabels(panels[:, 0])
    return figure


def _draw_histogram(axes: Axes, layer: LayerDelays, colours: Palette) -> None:
    """The share of the delays that are nearest to each step."""
    counts = np.bincount(np.rint(layer.values).astype(int).ravel(), minlength=layer.maximum + 1)
    axes.bar(np.arange(len(counts)), 100 * counts / max(1, counts.sum()), width=0.9, color=colours.training)
    axes.set(ylabel="share (%)", xlim=(-0.6, layer.maximum + 0.6))
    marks.whole_numbers(axes)


def _draw_matrix(figure: Figure, axes: Axes, layer: LayerDelays, colours: Palette) -> None:
    image = axes.imshow(
        layer.values, cmap=ink_map(colours), vmin=0, vmax=layer.maximum, aspect="auto", interpolation="nearest"
    )
    axes.set(xlabel="from neuron", ylabel="to neuron")
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, label="delay (steps)")
