"""Spikes and long traces, drawn so that thousands of steps or neurons stay readable, quick and small.

Every function that may thin returns words about it for the caption, or an empty text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgba
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory
from numpy.typing import NDArray

from snnrun.report.raster import thin
from snnrun.report.style import DASHES, WIDTH, Palette

Array = NDArray[Any]

COLUMNS = 1000  # time steps that a figure of the common width can show apart
ROWS = 100  # neurons of a raster: each has 3 pixels or more
MARKS = 5000  # a raster with more spikes is an image, not single lines
FEW = 40  # a trace of this many points or fewer shows each as a dot


def trace(axes: Axes, time: Array, values: Array, *, steps: bool = False, **options: Any) -> str:
    """One line. With more points than columns it shows the lowest and highest value of each column."""
    words = ""
    values = np.where(np.isfinite(values), values, np.nan)
    if len(time) > 2 * COLUMNS:
        width = -(-len(time) // COLUMNS)
        words = f"traces: lowest to highest in {width} steps"
        options["lw"] = 0.7
        padded = np.append(values, np.full(-len(values) % width, values[-1])).reshape(-1, width)
        time = np.repeat(time[::width], 2)
        values = np.stack([padded.min(axis=1), padded.max(axis=1)], axis=1).reshape(-1)
    elif steps:
        # The last value also lasts one step, else a pulse there would be invisible.
        dt = time[1] - time[0] if len(time) > 1 else 1.0
        time, values = np.append(time, time[-1] + dt), np.append(values, values[-1])
        options["drawstyle"] = "steps-post"
    if len(time) <= FEW and not steps:
        options.setdefault("marker", ".")
    axes.plot(time, values, **options)
    return words


def ticks_above(axes: Axes, time: Array, fired: Array, colour: str) -> str:
    """A neuron's spikes as ticks above its trace; extends the axis to make room."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.25 * (high - low))
    when, words = columns(time, fired[:, None])
    above = blended_transform_factory(axes.transData, axes.transAxes)
    axes.vlines(when[0], 0.87, 0.985, colors=colour, lw=width_of(len(time), 1.6), transform=above)
    return words


def raster(axes: Axes, time: Array, fired: Array, colour: str, noun: str = "neuron") -> str:
    """The spikes ``[T, N]`` of many neurons (or another ``noun``), a row each. Returns words about thinning."""
    steps, count = fired.shape
    rows = thin(count, ROWS)
    dt = time[1] - time[0] if steps > 1 else 1.0
    words = [f"{len(rows)} of {count:,} {noun}s shown"] if len(rows) < count else []
    when, thinning = columns(time, fired[:, rows])
    words += [thinning] if thinning else []
    spacing = max(1.0, (count - 1) / max(1, len(rows) - 1))
    if sum(len(each) for each in when) <= MARKS:
        half = 0.4 * spacing
        for at, moments in zip(rows, when, strict=True):
            axes.vlines(moments, at - half, at + half, colors=colour, lw=width_of(steps, 2.5), snap=False)
    else:
        width = -(-steps // COLUMNS)
        picture = _bin(fired[:, rows], width).T
        end = time[0] + (picture.shape[1] * width - 0.5) * dt
        axes.imshow(
            picture, aspect="auto", origin="lower", interpolation="nearest", vmin=0, vmax=1,
            cmap=ListedColormap([to_rgba(colour, 0.0), to_rgba(colour)]),
            extent=(time[0] - dt / 2, end, -spacing / 2, count - 1 + spacing / 2),
        )  # fmt: skip
    axes.set(ylim=(-0.75 * spacing, count - 1 + 0.75 * spacing), yticks=[0, count - 1] if count > 1 else [0])
    axes.grid(False)
    return "; ".join(words)


def time_axis(axes: Axes, time: Array, label: str) -> None:
    """The time axis, with whole numbers if it counts steps."""
    dt = time[1] - time[0] if len(time) > 1 else 1.0
    axes.set_xlim(time[0] - dt, time[-1] + 1.5 * dt)
    axes.set_xlabel(label)
    whole_numbers(axes, integer=dt == 1)


def columns(time: Array, fired: Array) -> tuple[list[Array], str]:
    """The times of each neuron's marks, and words about it if a mark stands for several steps."""
    if len(time) <= COLUMNS:
        return [time[column] for column in fired.T], ""
    width = -(-len(time) // COLUMNS)
    # Spikes further apart than a column keep their own time.
    gaps = [np.diff(np.flatnonzero(column)) for column in fired.T]
    if all(gap.min(initial=width) >= width for gap in gaps):
        return [time[column] for column in fired.T], ""
    return [time[::width][column] for column in _bin(fired, width).T], f"a mark is a spike or more in {width} steps"


def _bin(fired: Array, width: int) -> Array:
    padded = np.pad(fired, ((0, -len(fired) % width), (0, 0)))
    return np.asarray(padded.reshape(-1, width, fired.shape[1]).any(axis=1))


def width_of(steps: int, most: float) -> float:
    """The width of a tick in points."""
    return min(most, max(0.6, 0.4 * 72 * (WIDTH - 1) / steps))


def looks(names: Sequence[str], colours: Palette) -> dict[str, tuple[str, str]]:
    """Colour and dashes for each name, in turn."""
    shades = colours.layers
    return {name: (shades[i % len(shades)], DASHES[i // len(shades) % len(DASHES)]) for i, name in enumerate(names)}


def whole_numbers(axes: Axes, integer: bool = True) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=(1, 2, 5, 10), integer=integer, min_n_ticks=1))
