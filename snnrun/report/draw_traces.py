"""The figures of a simulation: a neuron's input, state, threshold and spikes; a single step; a sweep's overlay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from snnrun.config.settings import Style
from snnrun.report import marks
from snnrun.report.neuron_traces import Traces
from snnrun.report.raster import thin
from snnrun.report.style import DASHES, Palette, palette, picture, save
from snnrun.system.format import plural

LABELS = {"current": "synaptic current", "held": "membrane held"}
MOST_STATES = 4  # panels besides input and membrane
MOST_CURVES = 12  # of an overlay
MOST_MEMBRANES = 3  # of a simulation with several neurons
LONG = 300  # steps; a longer simulation shows one membrane


def traces_figure(traces: Traces, title: str, folder: Path, style: Style) -> list[Path]:
    """Write ``traces``; for a single step write ``step``: the neurons that fire, and the gradient."""
    if len(traces.input) == 1:
        return save(lambda: draw_step(traces, title, palette(style)), folder, "step", style)
    return save(lambda: draw_traces(traces, title, palette(style)), folder, "traces", style)


def overlay_figure(traces: Mapping[str, Traces], folder: Path, style: Style) -> list[Path]:
    """Write ``overlay``: the traces of several simulations, by label."""
    return save(lambda: draw_overlay(traces, palette(style)), folder, "overlay", style)


def draw_traces(traces: Traces, title: str, colours: Palette) -> Figure:
    """Panels over one time axis: input, other state variables, membrane with threshold and spikes, raster."""
    count = traces.input.shape[1]
    states = dict(list(traces.states.items())[:MOST_STATES])
    graded = not np.isin(traces.spikes, (0, 1)).all()
    heights = [1.0, *(1.0 for _ in states), *([1.0] if graded else []), 1.9]
    if count > 1:
        heights.append(min(3.0, 0.7 + 0.025 * min(count, marks.ROWS)))
    figure = picture(0.7 + 1.05 * sum(heights) + 0.1 * len(heights))
    panels = iter(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0])
    chosen = thin(count, MOST_MEMBRANES if len(traces.input) <= LONG else 1)
    shown = f", neuron{'s' if len(chosen) > 1 else ''} {', '.join(map(str, chosen))} of {count:,}" if count > 1 else ""

    axes = next(panels)
    lines = [traces.input[:, i] for i in chosen]
    if all(np.array_equal(line, lines[0]) for line in lines[1:]):
        lines = lines[:1]
    envelope = _lines(axes, traces, lines, colours.input, steps=True)
    axes.set_title(f"{title}{shown}{'; ' if envelope else ''}{envelope}", loc="left")
    axes.set_ylabel(f"input\n({unit(traces, 'input')})")
    shades = _shades(states, colours)
    for name, values in states.items():
        axes = next(panels)
        _lines(axes, traces, [values[:, i] for i in chosen], shades[name])
        wide = "steps" if name == "refractory" else unit(traces, "membrane")
        axes.set_ylabel(f"{LABELS.get(name, name).replace(' ', chr(10), 1)}\n({wide})")
    if graded:
        axes = next(panels)
        _lines(axes, traces, [traces.spikes[:, i] for i in chosen], colours.primitive)
        axes.set_ylabel(f"output\n({unit(traces, 'membrane')})")
    axes = next(panels)
    _lines(axes, traces, [traces.membrane[:, i] for i in chosen], colours.membrane)
    if traces.threshold is not None:
        marks.trace(axes, traces.time, traces.threshold[:, chosen[0]], color=colours.ink, ls="--", lw=0.9, marker="")
    axes.set_ylabel(f"membrane\n({unit(traces, 'membrane')})")
    fired = traces.fired
    words = [plural(int(fired.sum()), "spike") if traces.threshold is not None else "a read-out, which never fires"]
    words = [] if graded else words
    if count == 1 and not graded:
        words.append(marks.ticks_above(axes, traces.time, fired[:, 0], colours.ink))
    else:
        axes = next(panels) if count > 1 else axes
        if count > 1:
            words.append(marks.raster(axes, traces.time, fired, colours.ink))
            axes.set_ylabel("neuron (index)")
    axes.set_title("; ".join(word for word in words if word), loc="left", color=colours.caption, fontsize=9)
    for axes in figure.axes:
        if axes.get_ylabel() != "neuron (index)":
            axes.yaxis.set_major_locator(MaxNLocator(4, steps=(1, 2, 2.5, 5, 10)))
    marks.time_axis(figure.axes[-1], traces.time, time_label(traces))
    figure.align_ylabels()
    return figure


def draw_step(traces: Traces, title: str, colours: Palette) -> Figure:
    """One step of neurons side by side: membranes, spikes, and the gradient of the sum of the spikes."""
    figure = picture(4.9 if traces.gradients else 3.2)
    rows = 2 if traces.gradients else 1
    panels = figure.subplots(rows, 1, sharex=True, height_ratios=(1.3, 1)[:rows], squeeze=False)[:, 0]
    input_row, fired = traces.input[0], traces.fired[0]
    by_input = len(np.unique(input_row)) == len(input_row)
    x = input_row if by_input else np.arange(len(input_row))
    axes = panels[0]
    count = len(fired)
    axes.set_title(f"{title}, a single step: {int(fired.sum())} of {plural(count, 'neuron')} fire", loc="left")
    size = 5 if count <= 100 else 2.5
    axes.plot(x[~fired], traces.membrane[0][~fired], "o", ms=size, mfc="none", color=colours.membrane, label="silent")
    axes.plot(x[fired], traces.membrane[0][fired], "o", ms=size, color=colours.membrane, label="fires")
    if traces.threshold is not None:
        order = np.argsort(x)
        axes.plot(x[order], traces.threshold[0][order], color=colours.ink, ls="--", lw=0.9, label="threshold")
    axes.set_ylabel(f"membrane\n({unit(traces, 'membrane')})")
    axes.legend(loc="upper left", ncols=3)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.22 * (high - low))
    if traces.gradients:
        axes = panels[1]
        looks = zip(DASHES, (2.6, 1.8, 1.4, 1.2), strict=True)
        shades = (colours.gradient, colours.membrane, colours.ink, *colours.states)
        for (name, values), (dashes, width), shade in zip(traces.gradients.items(), looks, shades, strict=False):
            what = {"input": "input", "membrane": "membrane before", "spikes": "spike before"}
            label = what.get(name.removesuffix("_gradient"), name.removesuffix("_gradient"))
            axes.plot(x, values[0], ls=dashes, lw=width, color=shade, label=label)
        axes.set_ylabel(f"gradient of the sum\nof spikes (1/{unit(traces, 'membrane')})")
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.35 * (high - low))
        axes.legend(loc="upper left", ncols=4, title="with respect to", alignment="left", title_fontsize=9)
    panels[-1].set_xlabel(f"input ({unit(traces, 'input')})" if by_input else "neuron (index)")
    figure.align_ylabels()
    return figure


def draw_overlay(traces: Mapping[str, Traces], colours: Palette) -> Figure:
    """Input, membranes and spikes of several simulations, one colour each; each row of spikes has a label."""
    names = list(traces)
    look = {name: (colours.cycle[i % 6], DASHES[i // 6 % 4]) for i, name in enumerate(names)}
    several = next(iter(traces.values()))
    single = all(len(each.input) == 1 for each in traces.values())
    row = 0.24 if len(names) <= 20 else 0.14
    heights = [0.9, 2.2, max(0.5, row * len(names))]
    figure = picture(0.9 + 1.05 * sum(heights))
    top, middle, bottom = figure.subplots(3, 1, sharex=not single, height_ratios=heights)
    shown = names[:MOST_CURVES]

    same = all(np.array_equal(each.input, several.input) and each.dt == several.dt for each in traces.values())
    for name in shown[:1] if same else shown:
        colour, dashes = (colours.input, "-") if same else look[name]
        _draw_overlay(top, traces[name], traces[name].input, color=colour, ls=dashes, lw=1.3, steps=True, single=single)
    top.set_ylabel(f"input\n({unit(several, 'input')})")
    for name in shown:
        colour, dashes = look[name]
        each = traces[name]
        _draw_overlay(middle, each, each.membrane, color=colour, ls=dashes, lw=1.3, single=single)
    levels = {name: traces[name].threshold for name in shown}
    first = levels[shown[0]]
    common = all(level is not None and first is not None and np.array_equal(level, first) for level in levels.values())
    for name in shown[:1] if common else shown:
        if (level := levels[name]) is not None:
            colour = colours.ink if common else look[name][0]
            _draw_overlay(middle, traces[name], level, color=colour, ls="--", lw=0.9, single=single)
    middle.set_ylabel(f"membrane\n({unit(several, 'membrane')})")
    words = []
    for place, name in enumerate(names):
        each = traces[name]
        fired = each.fired[0] if single else each.fired[:, 0]
        time = np.arange(len(fired)) if single else each.time
        when, words_of_marks = marks.columns(time, fired[:, None])
        words.append(words_of_marks)
        width = marks.width_of(len(time), 1.8)
        bottom.vlines(when[0], place - 0.38, place + 0.38, colors=look[name][0], lw=width, snap=False)
    bottom.set(ylim=(len(names) - 0.4, -0.6))
    texts = [
        f"{_cut(name)} ({int((traces[name].fired[0] if single else traces[name].fired[:, 0]).sum())})" for name in names
    ]
    bottom.set_yticks(range(len(names)), texts, fontsize=8 if len(names) <= 20 else 6)
    for text, name in zip(bottom.get_yticklabels(), names, strict=True):
        text.set_color(look[name][0])
    bottom.grid(False)
    count = several.input.shape[1]
    what = [f"{len(names)} simulations" + (f", neuron 0 of {count:,}" if count > 1 and not single else "")]
    if len(shown) < len(names):
        what.append(f"curves of the first {len(shown)} only")
    top.set_title("; ".join([*what, *sorted({word for word in words if word})]), loc="left")
    bottom.set_title("spikes (number in brackets)", loc="left", color=colours.caption, fontsize=9)
    for axes in (top, middle):
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=(1, 2, 2.5, 5, 10)))
    if single:
        for axes in (top, middle, bottom):
            axes.set_xlim(-1, max(each.input.shape[1] for each in traces.values()))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        bottom.set_xlabel("neuron (index)")
    else:
        longest = max(traces.values(), key=lambda each: each.time[-1])
        marks.time_axis(bottom, longest.time, time_label(longest))
    figure.align_ylabels([top, middle])
    return figure


def unit(traces: Traces, quantity: str) -> str:
    """The unit of "input" or "membrane"; arbitrary if the neuron states none."""
    return traces.units.get(quantity, "a.u.")


def time_label(traces: Traces) -> str:
    """``time (steps)`` if dt is 1, else time in the unit of dt."""
    if traces.dt == 1:
        return "time (steps)"
    return f"time ({traces.units.get('time', 'unit of dt')}), {traces.dt:g} per step"


def _shades(names: Iterable[str], colours: Palette) -> dict[str, str]:
    """The colour of each state variable: the common ones have fixed colours, the others share the rest."""
    first, second, *rest = colours.states
    fixed = {"current": first, "excitation": first, "adaptation": second, "inhibition": second}
    common = {name: fixed[name] for name in names if name in fixed}
    others = [shade for shade in (*rest, colours.primitive, first, second) if shade not in common.values()]
    return {**common, **dict(zip([name for name in names if name not in fixed], others * 2, strict=False))}


def _lines(axes: Axes, traces: Traces, lines: Sequence[Any], colour: str, steps: bool = False) -> str:
    words = ""
    for values, dashes in zip(lines, DASHES, strict=False):
        words = marks.trace(axes, traces.time, values, steps=steps, color=colour, ls=dashes, lw=1.4)
    return words


def _draw_overlay(axes: Axes, traces: Traces, values: Any, *, single: bool, **options: Any) -> None:
    time, column = (np.arange(values.shape[1]), values[0]) if single else (traces.time, values[:, 0])
    options.setdefault("marker", "")
    marks.trace(axes, time, column, **options)


def _cut(name: str, limit: int = 40) -> str:
    return name if len(name) <= limit else f"{name[: limit // 2]}…{name[-limit // 2 :]}"
