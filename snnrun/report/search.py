"""The figures of a search: its history, and the importance of each key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from snnrun.config.settings import Style
from snnrun.report.style import LIGHT, Palette, palette, picture, save

History = tuple[Sequence[tuple[int, float]], bool]  # (trial, value) pairs; True if lower is better


def history_figure(histories: Mapping[str, History], folder: Path, style: Style) -> list[Path]:
    """Write ``history``: each objective over the trials, with the best so far. No file without a trial."""
    return save(lambda: draw_history(histories, palette(style)), folder, "history", style)


def importance_figure(importances: Mapping[str, Mapping[str, float]], folder: Path, style: Style) -> list[Path]:
    """Write ``importance``: the importance of every key for each objective. No file without values."""
    return save(lambda: draw_importance(importances, palette(style)), folder, "importance", style)


def draw_history(histories: Mapping[str, History], colours: Palette = LIGHT) -> Figure | None:
    """A panel for each objective."""
    if not any(points for points, _ in histories.values()):
        return None
    figure = picture(1.5 + 2.8 * len(histories))
    panels = figure.subplots(len(histories), squeeze=False)[:, 0]
    for axes, (name, (points, lower)) in zip(panels, histories.items(), strict=True):
        numbers, values = [number for number, _ in points], [value for _, value in points]
        best = [(min if lower else max)(values[: i + 1]) for i in range(len(values))]
        axes.plot(numbers, values, "o", color=colours.training, label="trial")
        axes.step(numbers, best, where="post", color=colours.validation, label="best so far")
        axes.set(xlabel="trial", ylabel=name.replace("_", " "))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
    return figure


def draw_importance(importances: Mapping[str, Mapping[str, float]], colours: Palette = LIGHT) -> Figure | None:
    """A panel of bars for each objective, the longest on top."""
    if not importances:
        return None
    rows = sum(len(values) for values in importances.values())
    figure = picture(1.2 * len(importances) + 0.4 * rows)
    panels = figure.subplots(len(importances), squeeze=False)[:, 0]
    for axes, (name, values) in zip(panels, importances.items(), strict=True):
        ordered = sorted(values.items(), key=lambda pair: pair[1])
        bars = axes.barh([key for key, _ in ordered], [value for _, value in ordered], color=colours.training)
        axes.bar_label(bars, fmt="%.2f", padding=3)
        axes.set(xlabel=f"importance for {name.replace('_', ' ')}", xlim=(0, 1.1))
        axes.grid(axis="y", visible=False)
    return figure
