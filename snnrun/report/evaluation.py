"""The figure of a test with several numbers of time steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from snnrun.config.settings import Style
from snnrun.report import marks
from snnrun.report.style import DASHES, LIGHT, Palette, palette, picture, save

Points = Sequence[tuple[int, float | None]]  # T, and the measure there


def evaluation_figure(
    curves: Mapping[str, Points],
    measure: str,
    folder: Path,
    style: Style,
    *,
    recorded: tuple[int, float] | None = None,
) -> list[Path]:
    """Write ``accuracy`` or ``loss`` (``measure``) against the number of time steps, a curve for each label.

    ``recorded``: T of the run, and its own test result. No file if there is nothing to draw.
    """
    return save(lambda: draw_evaluation(curves, measure, recorded, palette(style)), folder, measure, style)


def draw_evaluation(
    curves: Mapping[str, Points],
    measure: str,
    recorded: tuple[int, float] | None = None,
    colours: Palette = LIGHT,
) -> Figure | None:
    """One panel. An accuracy is a share from 0 to 1 and drawn in %."""
    scale, unit = (100.0, "accuracy (%)") if measure == "accuracy" else (1.0, measure)
    drawn = {label: _curve(points, scale) for label, points in curves.items()}
    drawn = {label: (x, y) for label, (x, y) in drawn.items() if np.isfinite(y).any()}
    if not drawn:
        return None
    figure = picture()
    axes = figure.add_subplot(xlabel="time steps of a test sample, T", ylabel=f"test {unit}")
    axes.set_title(f"Test {measure} of the same weights against T", loc="left")
    for i, (label, (x, y)) in enumerate(drawn.items()):
        colour, dashes = colours.cycle[i % len(colours.cycle)], DASHES[i // len(colours.cycle) % len(DASHES)]
        axes.plot(x, y, marker="o", color=colour, ls=dashes, label=label or "tested again")
    if recorded is not None:
        at, value = recorded[0], scale * recorded[1]
        axes.plot(
            at, value, "o", ms=10, mfc="none", mec=colours.ink, mew=1.4, zorder=4, label=f"recorded test, T = {at}"
        )  # fmt: skip
    marks.whole_numbers(axes)
    handles, labels = axes.get_legend_handles_labels()
    if len(handles) > 1:
        figure.legend(handles, labels, loc="outside upper right", ncols=min(3, len(handles)))
    return figure


def _curve(points: Points, scale: float) -> tuple[np.ndarray, np.ndarray]:
    points = sorted(points, key=lambda point: point[0])
    values = [np.nan if value is None else scale * value for _, value in points]
    return np.array([steps for steps, _ in points]), np.array(values, dtype=float)
