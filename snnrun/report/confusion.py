"""The figure of the confusion matrix of the test set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory

from snnrun.config.settings import Style
from snnrun.report.style import LIGHT, Palette, ink_map, palette, picture, save
from snnrun.system.safe_read import printable

if TYPE_CHECKING:
    from snnrun.training.confusion import Confusion

MOST_COUNTS = 20  # with more classes the cells have no counts
MOST_NAMES = 40  # with more classes the axes have no names
LONGEST = 27  # letters of a name
LINE = 50  # letters that fit side by side below the matrix
SIDE = 5.0  # inches of the matrix


def confusion_figure(confusion: Confusion | None, folder: Path, style: Style) -> list[Path]:
    """Write ``confusion``: the matrix and the accuracy of each class. No file if there are no classes."""
    if confusion is None:
        return []
    return save(lambda: draw_confusion(confusion, palette(style)), folder, "confusion", style)


def draw_confusion(confusion: Confusion, colours: Palette = LIGHT) -> Figure:
    """A row for each class: the shares of its samples by predicted class, and its accuracy."""
    counts, samples = np.array(confusion.counts), np.array(confusion.samples)
    size = len(samples)
    names = [printable(name, LONGEST) for name in confusion.classes]
    named = size <= MOST_NAMES
    upright = named and size * max(map(len, names)) > LINE  # the names below the columns
    figure = picture(min(SIDE, max(2.2, 0.42 * size)) + 1.0 + (0.07 * max(map(len, names)) if upright else 0.0))
    left, right = figure.subplots(1, 2, width_ratios=(3, 1.15))
    shares = counts / np.maximum(1, samples)[:, None]
    left.imshow(shares, cmap=ink_map(colours), vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    if size <= MOST_COUNTS:
        _write_counts(left, counts, shares, colours)
    left.set(xlabel="prediction", ylabel="class")
    left.spines[:].set(visible=True, color=colours.caption, linewidth=0.6)
    font = 9 if size <= MOST_COUNTS else 6
    for axes, axis in ((left, left.yaxis), (left, left.xaxis)):
        if named:
            axis.set_ticks(range(size), names, fontsize=font, parse_math=False)
        else:
            axis.set_major_locator(MaxNLocator(10, integer=True))
        axes.grid(False)
    if upright:
        left.tick_params(axis="x", rotation=90)

    accuracy = confusion.accuracy_by_class()
    values = np.array([np.nan if value is None else 100 * value for value in accuracy.values()])
    right.barh(range(size), np.nan_to_num(values), height=0.75 if named else 1.0, color=colours.membrane)
    right.set(ylim=(size - 0.5, -0.5), xlim=(0, 100), xlabel="accuracy (%)", xticks=(0, 50, 100), yticks=[])
    right.grid(axis="y", visible=False)
    beside = blended_transform_factory(right.transAxes, right.transData)
    for row, value in enumerate(values if named else ()):
        text = "no samples" if np.isnan(value) else f"{value:.1f}"
        right.text(1.04, row, text, va="center", fontsize=font, transform=beside)
    whole = counts.trace() / samples.sum()
    figure.suptitle(
        f"Test set: {samples.sum():,} labels, accuracy {100 * whole:.1f} %; rows add up to the labels of a class",
        x=0.01, ha="left", fontsize=10,
    )  # fmt: skip
    return figure


def _write_counts(axes: Axes, counts: np.ndarray, shares: np.ndarray, colours: Palette) -> None:
    """Every nonzero count, in the colour of the paper on a dark cell."""
    size = len(counts)
    font = 8.0 if size <= 12 else 6.0
    for row, column in np.argwhere(counts):
        shade = colours.paper if shares[row, column] > 0.5 else colours.ink
        axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=font, color=shade)
