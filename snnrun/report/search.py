"""The figures of a search: how it went on, and which key mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from snnrun.report.style import TRAINING, VALIDATION, picture, save
from snnrun.settings import Style

RUN = Style(format=("png",))
History = tuple[Sequence[tuple[int, float]], bool]  # (trial, value) of each, and whether lower is better


def history_figure(histories: Mapping[str, History], path: Path) -> bool:
    """Write each objective over the trials, with the best so far. False, and no file, where there is no trial."""
    return bool(save(lambda: draw_history(histories), path.parent, path.stem, RUN))


def importance_figure(importances: Mapping[str, Mapping[str, float]], path: Path) -> bool:
    """Write for each objective how much every key mattered. False, and no file, where nothing is known."""
    return bool(save(lambda: draw_importance(importances), path.parent, path.stem, RUN))


def draw_history(histories: Mapping[str, History]) -> Figure | None:
    """A panel for each objective."""
    if not any(points for points, _ in histories.values()):
        return None
    figure = picture(1.5 + 2.8 * len(histories))
    panels = figure.subplots(len(histories), squeeze=False)[:, 0]
    for axes, (name, (points, lower)) in zip(panels, histories.items(), strict=True):
        numbers, values = [number for number, _ in points], [value for _, value in points]
        best = [(min if lower else max)(values[: i + 1]) for i in range(len(values))]
        axes.plot(numbers, values, "o", color=TRAINING, label="trial")
        axes.step(numbers, best, where="post", color=VALIDATION, label="best so far")
        axes.set(xlabel="trial", ylabel=name.replace("_", " "))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
    return figure


def draw_importance(importances: Mapping[str, Mapping[str, float]]) -> Figure | None:
    """A panel of bars for each objective, the longest on top."""
    if not importances:
        return None
    rows = sum(len(values) for values in importances.values())
    figure = picture(1.2 * len(importances) + 0.4 * rows)
    panels = figure.subplots(len(importances), squeeze=False)[:, 0]
    for axes, (name, values) in zip(panels, importances.items(), strict=True):
        ordered = sorted(values.items(), key=lambda pair: pair[1])
        bars = axes.barh([key for key, _ in ordered], [value for _, value in ordered], color=TRAINING)
        axes.bar_label(bars, fmt="%.2f", padding=3)
        axes.set(xlabel=f"importance for {name.replace('_', ' ')}", xlim=(0, 1.1))
        axes.grid(axis="y", visible=False)
    return figure
