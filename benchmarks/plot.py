"""The figure of ``docs/performance.md``: time and memory of one layer against steps, batch and width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.layer import BASE, SWEEPS
from benchmarks.measure import FLOOR, OURS, OURS_LOW
from snnrun.config.settings import Style
from snnrun.report.style import picture, save

COLOURS = {
    OURS: "#009E73",
    OURS_LOW: "#009E73",
    "snnTorch": "#D55E00",
    "snnTorch, tuned": "#D55E00",
    "SpikingJelly": "#0072B2",
    "Norse": "#CC79A7",
    FLOOR: "#8C8C8C",
}
DASHED = (OURS_LOW, "snnTorch, tuned", FLOOR)
LABELS = {"steps": "steps T", "batch": "batch", "width": "neurons n"}


def draw(result: dict[str, Any], path: Path) -> None:
    """Write the figure, if anything was measured for it."""
    save(lambda: _figure(result), path.parent, path.stem, Style(format=("png",)))


def _figure(result: dict[str, Any]) -> Figure | None:
    entries = result.get("sweep")
    if not entries:
        return None
    figure = picture(5.6)
    axes = figure.subplots(2, len(SWEEPS), sharex="col", sharey="row")
    for column, (size, label) in enumerate(LABELS.items()):
        fixed = {key: getattr(BASE, key) for key in SWEEPS if key != size}
        chosen = [entry for entry in entries if all(entry[key] == value for key, value in fixed.items())]
        chosen.sort(key=lambda entry: entry[size])
        for name in chosen[0]["contenders"]:
            _curve(axes[0][column], chosen, size, name, [min(e["contenders"][name]["seconds"]) * 1e3 for e in chosen])
            _curve(axes[1][column], chosen, size, name, [(e["contenders"][name]["bytes"] or 0) / 1e6 for e in chosen])
        others = ", ".join(
            f"{short} = {fixed[key]}"
            for key, short in (("steps", "T"), ("batch", "batch"), ("width", "n"))
            if key in fixed
        )
        axes[0][column].set_title(others)
        axes[1][column].set_xlabel(label)
        axes[1][column].xaxis.set_major_locator(FixedLocator([entry[size] for entry in chosen]))
        axes[1][column].xaxis.set_minor_locator(NullLocator())
        axes[1][column].xaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
    axes[0][0].set_ylabel("time (ms)")
    axes[1][0].set_ylabel("peak memory added (MB)")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _curve(axes: Axes, entries: list[dict[str, Any]], size: str, name: str, values: list[float]) -> None:
    axes.loglog(
        [entry[size] for entry in entries],
        values,
        color=COLOURS[name],
        linestyle="--" if name in DASHED else "-",
        marker="o",
        label=name,
    )
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
